/** One request on a connection of its own, byte for byte as it is to be, and what comes back. */
import { connect } from 'node:net'
import type { FuzzRequest } from './requests.ts'

/** Beyond it a request hangs. */
const deadlineMs = 20_000
/** After it a malformed request ends its side: the server may rightly wait for more. */
const patienceMs = 500

export interface Answer {
  /** 0: the connection ended without an answer. -1: none came in time. */
  status: number
  headers: Record<string, string>
  body: string
}

export function bytesOf({ raw, method, target, headers, body }: FuzzRequest, host: string, cookie?: string): Buffer {
  if (raw) return raw
  const given = new Set(headers.map(([name]) => name))
  const all = [...headers]
  if (!given.has('host')) all.unshift(['host', host])
  if (cookie) all.push(['cookie', cookie])
  if (body && !given.has('content-length') && !given.has('transfer-encoding'))
    all.push(['content-length', `${body.length}`])
  if (!given.has('connection')) all.push(['connection', 'close'])
  const head = [`${method} ${target} HTTP/1.1`, ...all.map(([name, value]) => `${name}: ${value}`)].join('\r\n')
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body ?? Buffer.alloc(0)])
}

export function exchange(url: URL, bytes: Buffer, { isMalformed }: FuzzRequest): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const socket = connect(Number(url.port || 80), url.hostname.replace(/^\[|\]$/g, ''))
  const pieces: Buffer[] = []
  const deadline = setTimeout(() => finish(-1), deadlineMs)
  const patience = isMalformed ? setTimeout(() => socket.end(), patienceMs) : undefined
  socket.on('data', (piece: Buffer) => {
    pieces.push(piece)
    if (isWhole(pieces)) finish(0)
  })
  socket.on('error', () => finish(0)).on('close', () => finish(0))
  socket.write(bytes)
  return promise

  function finish(without: number) {
    clearTimeout(deadline)
    clearTimeout(patience)
    socket.destroy()
    resolve(parse(Buffer.concat(pieces)) ?? { status: without, headers: {}, body: '' })
  }
}

/** An event stream goes on: its head is enough. So it is when the body has the length that was announced. */
function isWhole(pieces: readonly Buffer[]): boolean {
  const answer = parse(Buffer.concat(pieces))
  if (!answer) return false
  if (answer.headers['content-type']?.startsWith('text/event-stream')) return true
  const length = answer.headers['content-length']
  return length !== undefined && Buffer.byteLength(answer.body, 'utf8') >= Number(length)
}

function parse(bytes: Buffer): Answer | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0)
  if (status === 100) return parse(bytes.subarray(end + 4))
  const headers = Object.fromEntries(
    lines.map((line) => [line.split(':', 1)[0]?.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  return { status, headers, body: bytes.subarray(end + 4).toString('utf8') }
}
