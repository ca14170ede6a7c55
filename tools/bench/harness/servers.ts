/** What a server under test says about itself. */
import { randomUUID } from 'node:crypto'
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
  const monitor = await asking.monitor()
  let count = 0
  let marker = ''
  let markerSeen = () => {}
  monitor.on('monitor', (_time: string, [name = '', argument]: string[], source: string) => {
    if (argument === marker) markerSeen()
    else if (source !== 'lua' && name.toLowerCase() !== 'ping') count += 1
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
  return {
    take,
    close() {
      monitor.disconnect()
      asking.disconnect()
    },
  }
}
