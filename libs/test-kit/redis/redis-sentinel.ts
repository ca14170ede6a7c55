/** A Sentinel of a test's own, which notices within a second that its master is gone. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pickPort } from '../port.ts'
import { spawnServer, untilReady } from '../server-process.ts'
import { findRedisServer } from './redis-server.ts'
import { ask } from './redis-wire.ts'

export interface SentinelOptions {
  masterPort: number
  /** What the group of servers is called. @default main */
  name?: string
  /** More lines of sentinel.conf. @default none */
  lines?: readonly string[]
}

export interface RedisSentinel {
  readonly port: number
  stop(): Promise<void>
}

/** Resolves once it answers. Throws with its own log when it does not. */
export async function startSentinel({
  masterPort,
  name = 'main',
  lines = [],
}: SentinelOptions): Promise<RedisSentinel> {
  const [dir, port] = [await mkdtemp(join(tmpdir(), 'shop-sentinel-')), await pickPort()]
  const file = join(dir, 'sentinel.conf') // rewritten by Sentinel itself
  const config = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `sentinel monitor ${name} 127.0.0.1 ${masterPort} 1`,
    `sentinel down-after-milliseconds ${name} 800`,
    `sentinel failover-timeout ${name} 3000`,
    ...lines,
  ]
  await writeFile(file, `${config.join('\n')}\n`, { mode: 0o600 })
  const command = findRedisServer()
  if (!command) throw new Error('no redis-server or valkey-server to start a Sentinel with')
  const server = spawnServer({
    name: 'Sentinel',
    command,
    args: [file, '--sentinel'],
    cwd: dir,
    stopSignal: 'SIGKILL',
    orphanDir: dir,
  })
  const isReady = async () => (await ask({ port }, [])) !== undefined
  await untilReady(server, { name: `Sentinel on port ${port}`, timeoutMs: 10_000, isReady })
  async function stop() {
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  }
  return { port, stop }
}
