import { describe, expect, it } from 'vitest'
import { readCsv } from './csv.ts'
import { readNdjson } from './ndjson.ts'
import { checkRow, maxRowBytes, type ReadRow } from './row.ts'

const tea = { sku: 'TEA-1', name: 'Tëa ☕', description: '', category: 'tea', priceCents: 499, stockCount: 3 }
const header = 'sku,name,description,category,priceCents,stockCount'

/** A text in pieces of so many bytes: a network cuts where it likes, through a character too. */
async function* pieces(text: string | Buffer, size: number) {
  const bytes = Buffer.from(text)
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size)
}
async function rowsOf(read: typeof readCsv, text: string | Buffer, size = 65_536): Promise<ReadRow[]> {
  const rows: ReadRow[] = []
  for await (const some of read(pieces(text, size))) rows.push(...some)
  return rows
}
const refusals = (rows: ReadRow[]) =>
  rows.flatMap((row) => {
    const checked = checkRow(row)
    return 'code' in checked ? [[checked.line, checked.code]] : []
  })

const sizes = [1, 2, 3, 7, 64, 65_536]

describe('NDJSON', () => {
  it.each(sizes)('is read line by line from pieces of %i bytes', async (size) => {
    const text = `\uFEFF${JSON.stringify(tea)}\r\n\n  \n${JSON.stringify({ ...tea, sku: 'TEA-2' })}\n{"sku":\n[1]`
    expect(await rowsOf(readNdjson, text, size)).toEqual([
      { line: 1, value: tea },
      { line: 4, value: { ...tea, sku: 'TEA-2' } },
      { line: 5, code: 'line-not-json', message: expect.any(String) },
      { line: 6, value: [1] },
    ])
  })

  it.each(sizes.slice(3))('passes over a line that is too long, in pieces of %i bytes', async (size) => {
    const longest = JSON.stringify({ ...tea, padding: 'x'.repeat(maxRowBytes) }).slice(-maxRowBytes)
    const rows = await rowsOf(readNdjson, `${longest}x\n${longest}\n${JSON.stringify(tea)}`, size)
    expect(rows).toMatchObject([{ line: 1, code: 'line-too-long' }, { line: 2, code: 'line-not-json' }, { value: tea }])
  })

  it('refuses what is not UTF-8 and goes on', async () => {
    const text = Buffer.concat([
      Buffer.from('{"sku":"'),
      Buffer.from([0xff]),
      Buffer.from(`"}\n${JSON.stringify(tea)}`),
    ])
    expect(await rowsOf(readNdjson, text)).toMatchObject([
      { line: 1, code: 'line-not-utf8' },
      { line: 2, value: tea },
    ])
  })

  it('may be empty', async () => {
    expect(await rowsOf(readNdjson, '')).toEqual([])
    expect(await rowsOf(readNdjson, '\n\n')).toEqual([])
  })
})

describe('CSV', () => {
  it.each(sizes)('is read record by record from pieces of %i bytes', async (size) => {
    const text = [
      '\uFEFFstockCount, name ,sku,category,description,priceCents',
      '3,Tëa ☕,TEA-1,tea,,499',
      '',
      '3,"Tea, ""green""",TEA-2,tea,"two',
      'lines",499',
      '3,12" pan,TEA-3,tea,x,499',
      '3,TEA-4',
      'three,Tea,TEA-5,tea,,4.99',
    ].join('\r\n')
    const rows = await rowsOf(readCsv, text, size)
    expect(rows).toEqual([
      { line: 2, value: tea },
      { line: 4, value: { ...tea, sku: 'TEA-2', name: 'Tea, "green"', description: 'two\r\nlines' } },
      { line: 6, value: { ...tea, sku: 'TEA-3', name: '12" pan', description: 'x' } },
      { line: 7, code: 'csv-columns', message: expect.any(String) },
      { line: 8, value: { ...tea, sku: 'TEA-5', name: 'Tea', stockCount: 'three', priceCents: '4.99' } },
    ])
    expect(refusals(rows)).toEqual([
      [7, 'csv-columns'],
      [8, 'validation-failed'],
    ])
  })

  it.each([
    ['is not closed', `${header}\nTEA-1,Tea,,tea,1,1\nTEA-2,"Tea,,tea,1,1\nTEA-3,Tea,,tea,1,1\n`],
    ['swallows too much', `${header}\nTEA-1,Tea,,tea,1,1\nTEA-2,"${'x\n'.repeat(maxRowBytes)}\nTEA-3,Tea,,tea,1,1\n`],
  ])('ends where a quote %s, and says so', async (_, text) => {
    const rows = await rowsOf(readCsv, text)
    expect(rows).toMatchObject([{ line: 2 }, { line: 3, code: 'csv-malformed' }])
  })

  it.each(['', 'sku,name', header.replaceAll(',', ';'), `${header},colour`, 'sku,sku,sku,sku,sku,sku'])(
    'with the header "%s" is refused as a whole',
    async (first) => {
      await expect(rowsOf(readCsv, `${first}\n`)).rejects.toMatchObject({ code: 'csv-header-invalid' })
    },
  )

  it('refuses what is not UTF-8 and goes on', async () => {
    const text = Buffer.concat([
      Buffer.from(`${header}\nTEA-1,`),
      Buffer.from([0xe4]),
      Buffer.from(',,tea,1,1\nTEA-2,Tea,,tea,1,1'),
    ])
    expect(await rowsOf(readCsv, text)).toMatchObject([
      { line: 2, code: 'line-not-utf8' },
      { line: 3, value: { sku: 'TEA-2' } },
    ])
  })
})

describe('a row', () => {
  it.each([
    ['validation-failed', 'sku is required', undefined, {}],
    ['validation-failed', 'must be object', undefined, null],
    ['validation-failed', 'colour is unknown', 'TEA-1', { ...tea, colour: 'red' }],
    [
      'validation-failed',
      '__proto__ is unknown',
      'TEA-1',
      JSON.parse(`{"__proto__":{},${JSON.stringify(tea).slice(1)}`),
    ],
    ['validation-failed', 'priceCents must be integer', 'TEA-1', { ...tea, priceCents: '499' }],
    ['validation-failed', 'stockCount must be >= 0', 'TEA-1', { ...tea, stockCount: -1 }],
    ['lone-surrogate', 'text must not contain an unpaired surrogate', 'TEA-1', { ...tea, description: 'T\ud800' }],
    ['nul-character', 'text must not contain the character U+0000', 'TEA-1', { ...tea, name: 'T\u0000a' }],
  ])('is refused as %s: %s', (code, message, sku, value) => {
    expect(checkRow({ line: 7, value })).toEqual({ line: 7, code, message, ...(sku && { sku }) })
  })

  it('that is as a new product would be is taken as it is', () => {
    expect(checkRow({ line: 1, value: tea })).toEqual({ line: 1, product: tea })
  })
})
