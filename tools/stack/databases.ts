/** Postgres and the two Redis roles of the demo, with the policies of docs/architecture.md; data stays in the data folder. */
import { join } from 'node:path'
import { type PostgresServer, startPostgres } from '@shop/test-kit/postgres-server'
import { type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import type { Secrets } from './secrets.ts'
import type { Part, Undo } from './start.ts'

/** A database and a role of the same name each; no service can read another's. */
const services = ['catalog', 'user', 'order'] as const

export interface Databases {
  urls: Record<(typeof services)[number], string>
  redis: { cacheUrl: string; stateUrl: string }
  parts(): Part[]
}

export async function startDatabases(
  dataDir: string,
  secrets: Secrets,
  undo: Undo,
): Promise<Databases> {
  const [postgres, cache, state] = await Promise.all([
    startPostgres({ dir: join(dataDir, 'postgres') }).then((server) => stopLater(server, undo)),
    startRedis({
      dir: join(dataDir, 'redis-cache'),
      password: secrets.redisCachePassword,
      config: { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lfu' },
    }).then((server) => stopLater(server, undo)),
    startRedis({
      dir: join(dataDir, 'redis-state'),
      password: secrets.redisStatePassword,
      config: { maxmemory: '256mb', 'maxmemory-policy': 'noeviction', appendonly: 'yes', appendfsync: 'everysec' },
    }).then((server) => stopLater(server, undo)),
  ])
  const entries = await Promise.all(
    services.map(async (name) => [name, await postgres.createDatabase(name, name)] as const),
  )
  return {
    urls: Object.fromEntries(entries) as Databases['urls'],
    redis: { cacheUrl: cache.url, stateUrl: state.url },
    parts: () => describe(postgres, cache, state),
  }
}

function stopLater<Server extends { stop(): Promise<void> }>(server: Server, undo: Undo): Server {
  undo.push(() => server.stop())
  return server
}

function describe(postgres: PostgresServer, cache: RedisServer, state: RedisServer): Part[] {
  return [
    { name: 'postgres', port: postgres.port, pid: postgres.pid, what: `databases ${services.join(', ')}` },
    { name: 'redis-cache', port: cache.port, pid: cache.pid, what: 'cached reads, edge throttles; may be lost' },
    {
      name: 'redis-state',
      port: state.port,
      pid: state.pid,
      what: 'sessions, carts, streams, registry; append-only file',
    },
  ]
}
