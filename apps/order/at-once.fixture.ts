/** One request many times at once: connections first, then the same bytes down all of them, which costs the sender next to nothing. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

interface RawAnswer {
  status: number
  /** By lower-case name. */
  headers: Map<string, string>
  text: string
}

export async function postAtOnce(
  urls: readonly string[],
  { path, headers, body }: { path: string; headers: Record<string, string>; body: string },
): Promise<RawAnswer[]> {
  const sockets = await Promise.all(urls.map(open))
  const all = { host: 'localhost', connection: 'close', 'content-length': String(Buffer.byteLength(body)), ...headers }
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const bytes = Buffer.from(`POST ${path} HTTP/1.1\r\n${head.join('')}\r\n${body}`)
  const answers = sockets.map(received)
  for (const socket of sockets) socket.write(bytes)
  return Promise.all(answers)
}

async function open(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

async function received(socket: Socket): Promise<RawAnswer> {
  const pieces: Buffer[] = []
  for await (const piece of socket) pieces.push(piece)
  const [head = '', text = ''] = Buffer.concat(pieces).toString().split('\r\n\r\n', 2)
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  )
  return { status: Number(statusLine.split(' ')[1]), headers, text }
}
