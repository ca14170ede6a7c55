/** What a server under test says about itself. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { connectPlain } from './plain-redis.ts'

export async function redisVersion(url: string): Promise<string> {
  const redis = connectPlain(url)
  try {
    const info = await redis.info('server')
    const valkey = /^valkey_version:(.+?)\r?$/m.exec(info)?.[1]
    return valkey ? `${valkey} (Valkey)` : (/^redis_version:(.+?)\r?$/m.exec(info)?.[1] ?? 'unknown')
  } finally {
    redis.disconnect()
  }
}

export interface CommandCounter {
  /** Since the last time it was asked. */
  take(): Promise<number>
  close(): void
}

/**
 * Counts what clients send, as the server sees it. INFO would also count what scripts run; MONITOR tells them apart. It slows
 * the server down, so it is for counting and not where time is measured closely. Heartbeats (PING) are not counted.
 */
export async function countCommands(url: string): Promise<CommandCounter> {
  const asking = connectPlain(url)
  const { hostname, port } = new URL(url)
  // Not ioredis' own monitor: a command that somebody sends at the wrong moment makes it fail.
  const socket = connect({ host: hostname, port: Number(port) })
  await once(socket, 'connect')
  socket.write('MONITOR\r\n')
  let count = 0
  let marker = ''
  let markerSeen = () => {}
  createInterface({ input: socket }).on('line', (line) => {
    const [, source, name = '', argument] = monitored.exec(line) ?? []
    if (argument !== undefined && argument === marker) markerSeen()
    else if (source !== undefined && source !== 'lua' && name.toLowerCase() !== 'ping') count += 1
  })

  async function take(): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<void>()
    marker = randomUUID()
    markerSeen = resolve
    // What was sent before it has been seen when this one is.
    await asking.echo(marker)
    await promise
    const taken = count
    count = 0
    return taken
  }
  await take() // what it took to connect
  return {
    take,
    close() {
      socket.destroy()
      asking.disconnect()
    },
  }
}

/** `+1795469826.068643 [0 127.0.0.1:40044] "get" "a"`; what a script ran has `lua` for an address. */
const monitored = /^\+[\d.]+ \[\d+ (\S+)\] "([^"]*)"(?: "([^"]*)")?/
