/** A server that says what a test makes it say: for replies that a real one gives only in states that cannot be provoked. */
import { createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** The raw answer (RESP) to a command, or undefined for "none". */
export type Answer = (args: string[], connection: { number: number; socket: Socket }) => string | undefined

export interface WireServer {
  port: number
  /** Every command that arrived, in order, in lower case by its first word. */
  commands: string[][]
  /** From now on. */
  answer(answer: Answer): void
  /** Ends every connection of now. */
  drop(): void
}

/** What a healthy server says while a connection is set up. */
export function greet([name = '']: string[]): string | undefined {
  const greetings: Record<string, string> = {
    hello: '%1\r\n$5\r\nproto\r\n:3\r\n',
    client: '+OK\r\n',
    ping: '+PONG\r\n',
    info: '$0\r\n\r\n',
  }
  return greetings[name.toLowerCase()]
}

export const errorReply = (text: string): string => `-${text}\r\n`

export async function startWireServer(first: Answer): Promise<WireServer> {
  let answer = first
  let connectionCount = 0
  const sockets = new Set<Socket>()
  const commands: string[][] = []
  const server = createServer((socket) => {
    const connection = { number: ++connectionCount, socket }
    let unread = ''
    sockets.add(socket)
    socket.on('error', () => {})
    socket.setEncoding('latin1').on('data', (chunk) => {
      const parsed = parse(unread + chunk)
      unread = parsed.rest
      for (const args of parsed.commands) {
        commands.push(args)
        const reply = answer(args, connection)
        if (reply !== undefined && socket.writable) socket.write(reply)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address() as { port: number }
  return {
    port: address.port,
    commands,
    answer: (next) => {
      answer = next
    },
    drop: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** All complete commands, which are arrays of bulk strings. */
function parse(text: string): { commands: string[][]; rest: string } {
  const commands: string[][] = []
  let rest = text
  for (;;) {
    const head = /^\*(\d+)\r\n/.exec(rest)
    if (!head) return { commands, rest }
    let at = head[0].length
    const args: string[] = []
    for (let i = 0; i < Number(head[1]); i += 1) {
      const size = /^\$(\d+)\r\n/.exec(rest.slice(at))
      if (!size) return { commands, rest }
      const start = at + size[0].length
      at = start + Number(size[1]) + 2
      if (rest.length < at) return { commands, rest }
      args.push(rest.slice(start, at - 2))
    }
    commands.push(args)
    rest = rest.slice(at)
  }
}
