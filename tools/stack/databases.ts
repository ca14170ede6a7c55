/** Postgres and the two Redis roles of the demo, with the policies and users of docs/architecture.md; data stays in the data folder. */
import { join } from 'node:path'
import { aclFile } from '@shop/redis-kit/acl'
import type { KeyFamily, KeyRole } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/key-families'
import { type PostgresServer, startPostgres } from '@shop/test-kit/postgres-server'
import { type RedisOptions, type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { keepAlive, type Supervisor } from './keep-alive.ts'
import type { Secrets } from './secrets.ts'
import type { Part, Undo } from './start.ts'

/** A database and a role of the same name each; no service can read another's. */
const services = ['catalog', 'user', 'order'] as const

export interface Databases {
  urls: Record<(typeof services)[number], string>
  /** Each service logs in as itself. */
  redisUrl(role: KeyRole, service: string): string
  parts(): Part[]
}

export async function startDatabases(
  dataDir: string,
  secrets: Secrets,
  undo: Undo,
  supervisor: Supervisor,
): Promise<Databases> {
  const keep = <Server extends Restartable>(name: string, starting: Promise<Server>) =>
    starting.then((server) => supervise(name, server, undo, supervisor))
  const families = await readKeyFamilies()
  const [postgres, cache, state] = await Promise.all([
    keep('postgres', startPostgres({ dir: join(dataDir, 'postgres') })),
    keep(
      'redis-cache',
      startRedis({ dir: join(dataDir, 'redis-cache'), ...cacheRole, ...users('cache', families, secrets) }),
    ),
    keep(
      'redis-state',
      startRedis({ dir: join(dataDir, 'redis-state'), ...stateRole, ...users('state', families, secrets) }),
    ),
  ])
  const entries = await Promise.all(
    services.map(async (name) => [name, await postgres.createDatabase(name, name)] as const),
  )
  return {
    urls: Object.fromEntries(entries) as Databases['urls'],
    redisUrl: (role, service) => urlAs(service, { port: { cache, state }[role].port, secrets }),
    parts: () => describe(postgres, cache, state),
  }
}

/** May forget: under pressure what is used least goes first, and nothing is written to disk. */
const cacheRole: RedisOptions = { config: { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lfu' } }

/** Must not forget: a full server refuses writes, and a restart loses a second at most. */
const stateRole: RedisOptions = {
  config: { maxmemory: '256mb', 'maxmemory-policy': 'noeviction', appendonly: 'yes', appendfsync: 'everysec' },
}

/** The same users as in the containers: a key that is not declared fails here first. */
function users(role: KeyRole, families: readonly KeyFamily[], { redis }: Secrets): RedisOptions {
  return { acl: aclFile(role, families, redis), username: 'health', password: redis.health }
}

function urlAs(service: string, { port, secrets }: { port: number; secrets: Secrets }): string {
  const password = secrets.redis[service]
  if (!password) throw new Error(`no Redis password for ${service}: is it in libs/contracts/services.ts?`)
  return `redis://${service}:${password}@127.0.0.1:${port}`
}

interface Restartable {
  readonly exited: Promise<unknown>
  restart(): Promise<void>
  stop(): Promise<void>
}

function supervise<Server extends Restartable>(
  name: string,
  server: Server,
  undo: Undo,
  supervisor: Supervisor,
): Server {
  const kept = keepAlive(name, supervisor)
  undo.push(() => {
    kept.stop()
    return server.stop()
  })
  watch()
  return server

  function watch() {
    server.exited.then(() => kept.died('', () => server.restart().then(watch)))
  }
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
