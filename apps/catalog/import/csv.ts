/** Comma-separated values (RFC 4180): a header that names the fields of a product, in any order, then a record per product. */
import { ProductInput } from '@shop/contracts/product'
import { CsvError, parse } from 'csv-parse'
import { errors } from '../errors.ts'
import { maxRowBytes, type ReadRow } from './row.ts'

const fields = Object.keys(ProductInput.properties)
const numbers: ReadonlySet<string> = new Set<keyof ProductInput>(['priceCents', 'stockCount'])

/** What the parser hands out with the option `raw`. */
interface Parsed {
  record: string[]
  raw: string
}

/**
 * Throws 400 `csv-header-invalid`. Where a quote is not closed, nothing after it can be told apart: that is one refused line, the last.
 *
 * The parser is asked for each record as it finds it, and not read as a stream: one that has failed forgets what it had ready.
 */
export async function* readCsv(pieces: AsyncIterable<Buffer>): AsyncGenerator<ReadRow[]> {
  const table = createTable()
  const parser = parse({
    bom: true,
    raw: true,
    max_record_size: maxRowBytes,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    on_record: (parsed) => void table.add(parsed as unknown as Parsed),
  })
  // Its errors are those of the writes.
  parser.on('error', () => {})
  const settle = (begin: (done: (error?: Error | null) => void) => void) =>
    new Promise<Error | null | undefined>((resolve) => void begin(resolve))

  for await (const piece of pieces) {
    const error = await settle((done) => parser.write(piece, done))
    yield table.take(error)
    if (error) return
  }
  yield table.take(await settle((done) => parser.end(done)))
  if (table.isEmpty()) throw errors.csvHeaderInvalid(fields)
}

function createTable() {
  let header: string[] | undefined
  let line = 1
  let rows: ReadRow[] = []
  return { add, take, isEmpty: () => header === undefined }

  /** The parser's own count of lines takes CRLF within quotes for two. What it passes over before a record is in `raw` too. */
  function add({ record, raw }: Parsed) {
    const firstLine = line + countNewlines(/^[\r\n]*/.exec(raw)?.[0] ?? '')
    line += countNewlines(raw)
    if (header === undefined) header = headerOf(record)
    else rows.push(rowOf(header, record, firstLine))
  }

  /** The rows since the last time, and the one that could not be read. */
  function take(error: Error | null | undefined): ReadRow[] {
    if (error && !(error instanceof CsvError)) throw error
    const taken = rows
    rows = []
    if (!error) return taken
    const message = 'a quote is not closed, or the record is too long: the rest of the file was not read'
    return [...taken, { line, code: 'csv-malformed', message }]
  }
}

function headerOf(record: string[]): string[] {
  const header = record.map((name) => name.trim())
  const isComplete = header.length === fields.length && fields.every((field) => header.includes(field))
  if (!isComplete) throw errors.csvHeaderInvalid(fields)
  return header
}

function rowOf(header: readonly string[], record: readonly string[], line: number): ReadRow {
  if (record.length !== header.length) {
    const message = `the record has ${record.length} fields, but the header has ${header.length}`
    return { line, code: 'csv-columns', message }
  }
  // What was no UTF-8 has become U+FFFD by now.
  if (record.some((text) => text.includes('\uFFFD'))) {
    return { line, code: 'line-not-utf8', message: 'the record is not valid UTF-8' }
  }
  return { line, value: Object.fromEntries(header.map((name, i) => [name, fieldOf(name, record[i] as string)])) }
}

/** Only what is written as a whole number is one: the schema has its say about the rest. */
function fieldOf(name: string, text: string): string | number {
  return numbers.has(name) && /^-?\d{1,15}$/.test(text.trim()) ? Number(text) : text
}

const countNewlines = (text: string) => text.match(/\r\n|\n|\r/g)?.length ?? 0
