import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { ImportReport, type ProductInput } from '@shop/contracts/product'
import { startService } from '@shop/test-kit/service'
import { Value } from 'typebox/value'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'
import { place } from '../stock/stock.ts'
import { createStockStore } from '../stock/store.ts'
import { createImports } from './import.ts'
import { createImportStore } from './store.ts'

const catalog = await startCatalog({ IMPORT_MAX_BYTES: '200000' })
const { ask, prisma, pool } = catalog
afterAll(() => catalog.stop())

const ndjson = { 'content-type': 'application/x-ndjson' }
const csv = { 'content-type': 'text/csv; charset=utf-8' }
const deaf = { forget: async () => {}, log: { info: () => {}, warn: () => {} } }
const patience = { timeout: 20_000, interval: 20 }

let number = 0
let prefix: string
beforeEach(() => {
  number += 1
  prefix = `RUN${number}`
})
const product = (index: number | string, parts: Partial<ProductInput> = {}): ProductInput => ({
  sku: `${prefix}-${index}`,
  name: `Tea ${index}`,
  description: 'Leaves.',
  category: 'tea',
  priceCents: 500,
  stockCount: 10,
  ...parts,
})
const many = (count: number, parts: Partial<ProductInput> = {}) =>
  Array.from({ length: count }, (_, index) => product(index, parts))
const lines = (products: object[]) => products.map((one) => JSON.stringify(one)).join('\n')

async function send(payload: string | Buffer, headers: Record<string, string> = ndjson) {
  return catalog.server.inject({
    method: 'POST',
    url: '/api/products/import',
    headers: { ...catalog.identityOf('admin'), ...headers },
    payload,
  })
}
async function report(payload: string | Buffer, headers?: Record<string, string>): Promise<ImportReport> {
  const answer = await send(payload, headers)
  expect(answer.statusCode, answer.body).toBe(200)
  expect(Value.Errors(ImportReport, answer.json())).toEqual([])
  const { lineCount, refused: _, refusedTruncated: __, ...counts } = answer.json()
  expect(Object.values<number>(counts).reduce((sum, count) => sum + count)).toBe(lineCount)
  return answer.json()
}
const rowsNow = () => prisma.product.findMany({ where: { sku: { startsWith: `${prefix}-` } }, orderBy: { sku: 'asc' } })
const eventCount = () => prisma.outboxEvent.count({ where: { topic: 'catalog:products' } })

describe('an import', () => {
  it('adds, changes and leaves alone, and readers see it at once', async () => {
    expect(await report(lines(many(3)))).toMatchObject({ lineCount: 3, createdCount: 3 })
    const path = `/api/products/${prefix}-1`
    await expect.poll(async () => (await ask(path)).headers['x-cache'], patience).toBe('hit-local')
    const absent = await ask(`/api/products/${prefix}-NEW`)
    expect(absent.statusCode).toBe(404)
    const changed = [product(0), product(1, { priceCents: 1 }), product('NEW', { category: 'cups' })]
    expect(await report(lines(changed))).toMatchObject({ createdCount: 1, updatedCount: 1, unchangedCount: 1 })
    expect((await ask(path)).json()).toMatchObject({ priceCents: 1 })
    expect((await ask(`/api/products/${prefix}-NEW`)).statusCode).toBe(200)
    expect((await ask('/api/categories')).json().items).toContainEqual({ slug: 'cups', name: 'Cups', productCount: 1 })
  })

  it('that is repeated writes nothing, tells nobody, and says so', async () => {
    const file = lines(many(1_200))
    expect(await report(file)).toMatchObject({ createdCount: 1_200 })
    const [before, told] = [await rowsNow(), await eventCount()]
    expect(await report(file)).toMatchObject({ createdCount: 0, updatedCount: 0, unchangedCount: 1_200 })
    expect(await rowsNow()).toEqual(before)
    expect(await eventCount()).toBe(told)
  })

  it('tells of each batch once', async () => {
    const before = await eventCount()
    await report(lines(many(1_001)))
    expect(await eventCount()).toBe(before + 3)
  })

  it('of CSV takes what CSV can hold', async () => {
    const rows = [
      'sku,name,description,category,priceCents,stockCount',
      `${prefix}-1,"Tea, ""green""","two\r\nlines",tea,499,3`,
      `${prefix}-2,Tëa ☕,,tea,0,0`,
    ]
    expect(await report(rows.join('\r\n'), csv)).toMatchObject({ createdCount: 2, refusedCount: 0 })
    expect(await rowsNow()).toMatchObject([
      { name: 'Tea, "green"', description: 'two\r\nlines', priceCents: 499, stockCount: 3 },
      { name: 'Tëa ☕', description: '', priceCents: 0, stockCount: 0 },
    ])
  })

  it('refuses lines by number and reason, and takes the others', async () => {
    const file = [
      JSON.stringify(product(1)),
      'not json',
      '',
      JSON.stringify(product(4, { category: 'no-such' })),
      JSON.stringify({ ...product(5), priceCents: 4.99 }),
      JSON.stringify(product(6)),
    ].join('\n')
    const { refused, ...counts } = await report(file)
    expect(counts).toMatchObject({ lineCount: 5, createdCount: 2, refusedCount: 3, refusedTruncated: false })
    expect(refused).toEqual([
      { line: 2, code: 'line-not-json', message: 'the line is not valid JSON' },
      { line: 4, sku: `${prefix}-4`, code: 'category-unknown', message: 'the category does not exist' },
      { line: 5, sku: `${prefix}-5`, code: 'validation-failed', message: 'priceCents must be integer' },
    ])
    expect((await rowsNow()).map(({ sku }) => sku)).toEqual([`${prefix}-1`, `${prefix}-6`])
  })

  it('names a thousand refused lines and counts the rest', async () => {
    const answer = await report('x\n'.repeat(1_500))
    expect(answer).toMatchObject({ lineCount: 1_500, refusedCount: 1_500, refusedTruncated: true })
    expect(answer.refused).toHaveLength(1_000)
    expect(answer.refused.at(-1)).toMatchObject({ line: 1_000 })
  })

  it('lets the last line with a sku count, near or far', async () => {
    const near = [product(1, { priceCents: 1 }), product(1, { priceCents: 2 })]
    const far = [product(2, { priceCents: 1 }), ...many(600, { name: 'Other' }), product(2, { priceCents: 2 })]
    const { duplicateCount } = await report(lines([...near, ...far]))
    expect(duplicateCount).toBe(3)
    expect(await prisma.product.findMany({ where: { sku: { in: [`${prefix}-1`, `${prefix}-2`] } } })).toMatchObject([
      { priceCents: 500 },
      { priceCents: 2 },
    ])
  })

  it('and orders for the same products do not wait for each other in a circle', async () => {
    await report(lines(many(300)))
    const stock = createStockStore(prisma, { group: 'test', topic: 'catalog:stock', reservationTtlMs: 60_000 })
    const backwards = many(300, { description: 'New.' }).reverse()
    const order = (index: number) => {
      const items = [299, 150, index].map((of) => ({ sku: `${prefix}-${of}`, quantity: 1 }))
      return stock.update({
        orderId: randomUUID(),
        skus: items.map(({ sku }) => sku),
        rule: (known) => place(known, items),
      })
    }
    const [answers] = await Promise.all([
      Promise.all([send(lines(backwards)), send(lines(many(300, { description: 'Newer.' })))]),
      ...Array.from({ length: 20 }, (_, index) => order(index)),
    ])
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200])
  })
})

describe('an import is refused as a whole', () => {
  it.each([
    ['as JSON', { 'content-type': 'application/json' }, 'unsupported-media-type', 415],
    ['without a type', {}, 'unsupported-media-type', 415],
    ['in another encoding', { 'content-type': 'text/csv; charset=iso-8859-1' }, 'charset-unsupported', 415],
    ['as CSV without a header', { 'content-type': 'text/csv' }, 'csv-header-invalid', 400],
  ])('%s', async (_, headers, code, status) => {
    expect((await send('[]', headers)).json()).toMatchObject({ status, code })
  })

  it('when nobody may import but an administrator, and what it is sent is no product elsewhere', async () => {
    for (const [role, status] of [
      ['guest', 401],
      ['customer', 403],
    ] as const) {
      const headers = { ...catalog.identityOf(role), ...ndjson }
      const answer = await catalog.server.inject({
        method: 'POST',
        url: '/api/products/import',
        headers,
        payload: '{}',
      })
      expect(answer.statusCode).toBe(status)
    }
    const elsewhere = { ...catalog.identityOf('admin'), ...ndjson }
    const answer = await catalog.server.inject({
      method: 'POST',
      url: '/api/products',
      headers: elsewhere,
      payload: '{}',
    })
    expect(answer.json()).toMatchObject({ code: 'unsupported-media-type' })
  })

  it('when there is no body, unless a file may be empty', async () => {
    expect(await report('')).toMatchObject({ lineCount: 0 })
    expect((await send('', csv)).json()).toMatchObject({ code: 'csv-header-invalid' })
  })

  it('when two run already', async () => {
    const { promise: end, resolve: finish } = Promise.withResolvers<void>()
    const waiting = async function* () {
      await end
      yield []
    }
    const imports = createImports(createImportStore(prisma), { ...deaf, maxRunningCount: 2 })
    const running = [imports.run(waiting()), imports.run(waiting())]
    await expect(imports.run(waiting())).rejects.toMatchObject({ code: 'imports-busy' })
    finish()
    await Promise.all(running)
    expect(await imports.run(waiting())).toMatchObject({ lineCount: 0 })
  })
})

describe('an import over the network', () => {
  const start = (settings: Record<string, string> = {}) =>
    startService({ app: 'catalog', env: { ...catalog.variables, IMPORT_MAX_BYTES: '10000000', ...settings } })
  const head = (length: number) =>
    [
      'POST /api/products/import HTTP/1.1',
      'host: catalog',
      'content-type: application/x-ndjson',
      `x-shop-identity: ${catalog.identityOf('admin')['x-shop-identity']}`,
      `content-length: ${length}\r\n\r\n`,
    ].join('\r\n')
  const request = (service: { url: string }, body: string, headers: Record<string, string>) =>
    fetch(`${service.url}/api/products/import`, {
      method: 'POST',
      headers: { ...catalog.identityOf('admin'), ...headers },
      body,
    })
  /** A body that does not say how long it is. */
  const stream = (service: { url: string }, body: AsyncIterable<Buffer>) =>
    fetch(`${service.url}/api/products/import`, {
      method: 'POST',
      headers: { ...catalog.identityOf('admin'), ...ndjson },
      body: ReadableStream.from(body) as never,
      duplex: 'half',
    } as RequestInit)
  const idleInTransaction = async () =>
    (
      await pool.query(
        "SELECT FROM pg_stat_activity WHERE application_name LIKE 'catalog-%' AND state LIKE 'idle in %'",
      )
    ).rowCount

  it('ends when the client goes away; what was committed stays, and the whole file can be sent again', async () => {
    const service = await start()
    const file = lines(many(2_000))
    const socket = connect(service.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(head(file.length) + file.slice(0, file.length - 20_000))
    await expect.poll(async () => (await rowsNow()).length, patience).toBeGreaterThanOrEqual(1_000)
    socket.destroy()
    await expect.poll(() => service.log(), patience).toContain('import aborted')
    const committed = (await rowsNow()).length
    expect(committed % 500).toBe(0)
    expect(committed).toBeLessThan(2_000)
    await expect.poll(idleInTransaction, patience).toBe(0)

    const answer = await request(service, file, ndjson)
    expect(await answer.json()).toMatchObject({ createdCount: 2_000 - committed, unchangedCount: committed })
    await service.stop()
  })

  it('takes a file that is larger than its memory', { timeout: 120_000 }, async () => {
    const nodeArgs = ['--max-old-space-size=80', '--max-semi-space-size=2']
    const env = { ...catalog.variables, IMPORT_MAX_BYTES: '1000000000' }
    const service = await startService({ app: 'catalog', env, nodeArgs })
    const residentBytes = async () => {
      const page = await (await fetch(`http://127.0.0.1:${service.internalPort}/metrics`)).text()
      return Number(/^process_resident_memory_bytes\{.*\} (\S+)$/m.exec(page)?.[1])
    }
    // Mostly lines that are as long as a line may be, and refused: they go the same way, and Postgres has little to do.
    const tooMuch = { ...product('X'), colour: 'x'.repeat(60_000) }
    const page = `${lines([...many(20), ...Array.from({ length: 20 }, () => tooMuch)])}\n`
    const pageCount = 70
    const body = async function* () {
      for (let sent = 0; sent < pageCount; sent++) yield Buffer.from(page)
    }
    const idleBytes = await residentBytes()
    let peakBytes = 0
    const watching = setInterval(async () => {
      peakBytes = Math.max(peakBytes, await residentBytes().catch(() => 0))
    }, 100)
    const answer = await stream(service, body())
    clearInterval(watching)
    expect(await answer.json()).toMatchObject({
      createdCount: 20,
      refusedCount: 20 * pageCount,
      refusedTruncated: true,
    })
    expect(page.length * pageCount).toBeGreaterThan(80e6)
    expect(peakBytes).toBeGreaterThan(0)
    expect(peakBytes - idleBytes).toBeLessThan(40e6)
    await service.stop()
  })

  it('ends when nothing comes any more', async () => {
    const service = await start({ IMPORT_IDLE_MS: '500' })
    const socket = connect(service.port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8').on('data', (text) => (answer += text))
    socket.write(`${head(1_000)}${JSON.stringify(product(1))}\n{"sku":`)
    await once(socket, 'close')
    expect(answer).toContain('HTTP/1.1 400')
    expect(answer).toContain('import-stalled')
    await service.stop()
  })

  it('answers before it has read everything, and the client hears it', async () => {
    const service = await start()
    const tooLong = await request(service, 'x'.repeat(10_000_001), ndjson)
    expect(await tooLong.json()).toMatchObject({ status: 413, code: 'import-too-large' })
    const headless = await request(service, 'x\n'.repeat(2_000_000), csv)
    expect(await headless.json()).toMatchObject({ status: 400, code: 'csv-header-invalid' })
    expect((await fetch(`${service.url}/health/live`)).status).toBe(200)
    await service.stop()
  })

  it('counts a body that does not say how long it is', async () => {
    const service = await start()
    const body = async function* () {
      for (let sent = 0; sent < 100; sent++) yield Buffer.alloc(200_000, 'x')
    }
    const answer = await stream(service, body())
    expect(await answer.json()).toMatchObject({ status: 413, code: 'import-too-large' })
    await service.stop()
  })
})

it('no more is read than can be written', async () => {
  let readCount = 0
  const source = async function* () {
    for (; readCount < 10_000; readCount++) yield [{ line: readCount, value: product(readCount) }]
  }
  const store = createImportStore(prisma)
  const readWhenWriting: number[] = []
  const imports = createImports(
    {
      write: async (products) => {
        readWhenWriting.push(readCount)
        const written = await store.write(products)
        expect(readCount).toBe(readWhenWriting.at(-1))
        return written
      },
    },
    { ...deaf, batchCount: 500 },
  )
  expect(await imports.run(source())).toMatchObject({ createdCount: 10_000 })
  expect(readWhenWriting).toHaveLength(20)
})
