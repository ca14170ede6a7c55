/**
 * The few commands the launchers need, spoken over a plain socket. A client library would bring its reconnects and
 * queues, which is the opposite of what "is this server up?" wants to know.
 */
import { createConnection } from 'node:net'

export interface RedisAddress {
  port: number
  username?: string
  password?: string
}

/**
 * Sends all commands in one packet and resolves to the raw replies (RESP2 text), or undefined when there is no server
 * or no complete answer in time. The last command's reply must be the marker that PING or QUIT would give: a PING is
 * added for that, so a server that is still loading its data counts as no answer.
 */
export function ask(address: RedisAddress, commands: string[][], timeoutMs = 1000): Promise<string | undefined> {
  const { port, username, password } = address
  const auth =
    password === undefined ? [] : [username === undefined ? ['AUTH', password] : ['AUTH', username, password]]
  return new Promise((resolve) => {
    let replies = ''
    const socket = createConnection({ port, host: '127.0.0.1' })
    const finish = (answer: string | undefined) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setEncoding('utf8')
    socket.setTimeout(timeoutMs, () => finish(undefined))
    socket.once('error', () => finish(undefined))
    socket.once('close', () => finish(undefined))
    socket.on('data', (chunk) => {
      replies += chunk
      if (replies.endsWith('+PONG\r\n')) finish(replies)
      else if (/^-(NOAUTH|WRONGPASS|LOADING|NOPERM)[^\r]*\r\n$/m.test(replies)) finish(undefined)
    })
    socket.write([...auth, ...commands, ['PING']].map(encode).join(''))
  })
}

/** Like `ask`, for commands that must succeed: throws on an error reply and when there is none. */
export async function command(address: RedisAddress, ...args: (string | number)[]): Promise<string> {
  const reply = await ask(address, [args.map(String)], 5000)
  if (reply === undefined) throw new Error(`no answer to ${args[0]} from the Redis on port ${address.port}`)
  const error = /^-.*$/m.exec(reply)
  if (error) throw new Error(`${args.join(' ')}: ${error[0].slice(1)}`)
  return reply
}

export function encode(args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`
}
