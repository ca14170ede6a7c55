/** The least that a client of Redis can be: GET over one socket, everything of a tick in one write, no errors foreseen. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const LINE_END = '\r\n'

export interface RawClient {
  get(key: string): Promise<string>
  close(): void
}

export async function connectRaw(url: string): Promise<RawClient> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await once(socket, 'connect')
  const send = senderOf(socket)
  const waiting: ((value: string) => void)[] = []
  let oldest = 0
  let rest: Buffer | undefined
  socket.on('data', (chunk: Buffer) => {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk
    let at = 0
    for (;;) {
      const lineEnd = bytes.indexOf(LINE_END, at)
      if (lineEnd < 0) break
      const from = lineEnd + 2
      const to = from + Number(bytes.toString('latin1', at + 1, lineEnd)) // after the `$`
      if (to + 2 > bytes.length) break
      waiting[oldest++]?.(bytes.toString('utf8', from, to))
      at = to + 2
    }
    rest = at < bytes.length ? bytes.subarray(at) : undefined
    if (oldest === waiting.length) {
      waiting.length = 0
      oldest = 0
    }
  })
  return {
    get(key) {
      return new Promise((resolve) => {
        waiting.push(resolve)
        send(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`)
      })
    },
    close: () => socket.destroy(),
  }
}

function senderOf(socket: Socket): (command: string) => void {
  let commands = ''
  function flush() {
    socket.write(commands, 'latin1')
    commands = ''
  }
  return (command) => {
    if (commands === '') process.nextTick(flush)
    commands += command
  }
}
