/** Newline-delimited JSON: one product per line. A line that is none is refused, and the next one is read as ever. */
import { isUtf8 } from 'node:buffer'
import { maxRowBytes, type ReadRow } from './row.ts'

const newline = 0x0a

/** Rows as they become complete. Of a line that is too long nothing is kept. */
export async function* readNdjson(pieces: AsyncIterable<Buffer>): AsyncGenerator<ReadRow[]> {
  let begun: Buffer[] = []
  let begunBytes = 0
  let line = 0

  for await (const piece of pieces) {
    const rows: ReadRow[] = []
    let start = 0
    for (let end = piece.indexOf(newline); end !== -1; end = piece.indexOf(newline, start)) {
      keep(piece.subarray(start, end))
      rows.push(...finish())
      start = end + 1
    }
    keep(piece.subarray(start))
    if (rows.length > 0) yield rows
  }
  yield finish()

  function keep(part: Buffer) {
    begunBytes += part.length
    if (begunBytes > maxRowBytes) begun = []
    else if (part.length > 0) begun.push(part)
  }

  function finish(): ReadRow[] {
    line += 1
    const [bytes, byteCount] = [begun.length === 1 ? (begun[0] as Buffer) : Buffer.concat(begun), begunBytes]
    begun = []
    begunBytes = 0
    if (byteCount > maxRowBytes) {
      return [{ line, code: 'line-too-long', message: `the line is longer than ${maxRowBytes} bytes` }]
    }
    return parse(line, bytes)
  }
}

/** Nothing for an empty line. */
function parse(line: number, bytes: Buffer): ReadRow[] {
  if (!isUtf8(bytes)) return [{ line, code: 'line-not-utf8', message: 'the line is not valid UTF-8' }]
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
  if (text.trim() === '') return []
  try {
    return [{ line, value: JSON.parse(text) }]
  } catch {
    return [{ line, code: 'line-not-json', message: 'the line is not valid JSON' }]
  }
}
