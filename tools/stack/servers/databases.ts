/**
 * Postgres and the two Redis roles of the demo, with the policies and users of docs/architecture.md; data stays in the data folder.
 * A server that exists already is used instead where its URL is given.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseNames } from '@shop/contracts/services'
import { aclFile } from '@shop/redis-kit/acl'
import type { KeyFamily, KeyRole } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { PostgresRuns } from '@shop/test-kit/postgres-data'
import { type PostgresServer, startPostgres } from '@shop/test-kit/postgres-server'
import { type RedisOptions, type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import type { Exit } from '@shop/test-kit/server-process'
import { operatorUser, withPort } from '../harness.ts'
import { keepAlive, type Running } from '../keep-alive.ts'
import type { Secrets } from '../secrets.ts'
import type { DatabaseUrls, Part, Stage } from '../stage.ts'
import { explainDataFailure } from './data-failure.ts'
import { usePostgres } from './existing-postgres.ts'
import { useRedis } from './existing-redis.ts'

const leavingWaitMs = 500
const maxLeavingWaits = 40
/** Loading a large append-only file, or recovering after a crash. */
const startTimeoutMs = 60_000

export interface Databases {
  urls: DatabaseUrls
  /** The superuser's, of a Postgres of the demo. */
  superuserUrl?: string
  /** On a server of the demo each service logs in as itself. */
  redisUrl(role: KeyRole, service: string): string
  /** For a person who looks around, on the servers of the demo. */
  viewerUrls: Partial<Record<KeyRole, string>>
  parts(): Part[]
}

export async function startDatabases(stage: Stage): Promise<Databases> {
  const { redisCacheUrl, redisStateUrl, postgresUrl } = stage.options.servers ?? {}
  // First what may be refused, so that nothing of ours starts for a wrong URL.
  const theirCache = redisCacheUrl === undefined ? undefined : await useRedis('cache', redisCacheUrl, stage)
  const theirState = redisStateUrl === undefined ? undefined : await useRedis('state', redisStateUrl, stage)
  const theirPostgres = postgresUrl === undefined ? undefined : await usePostgres(postgresUrl, databaseNames, stage)
  stage.signal.throwIfAborted()
  const families = await readKeyFamilies()
  const [postgres, cache, state] = await Promise.all([
    theirPostgres ?? ownPostgres(stage),
    theirCache ?? ownRedis('cache', families, stage),
    theirState ?? ownRedis('state', families, stage),
  ])
  return {
    urls: postgres.urls,
    ...('superuserUrl' in postgres && { superuserUrl: postgres.superuserUrl }),
    redisUrl: (role, service) => ({ cache, state })[role].urlAs(service),
    viewerUrls: {
      ...(theirCache === undefined && { cache: cache.urlAs('viewer') }),
      ...(theirState === undefined && { state: state.urlAs('viewer') }),
    },
    parts: () => [postgres, cache, state].flatMap(({ part }) => part?.() ?? []),
  }
}

async function ownPostgres(stage: Stage): Promise<{ urls: DatabaseUrls; superuserUrl: string; part: () => Part }> {
  const dir = join(stage.options.dataDir, 'postgres')
  const server = await keep('postgres', dir, startPostgresWhenFree(dir, stage.signal), stage)
  const port = (await stage.options.harness?.between('postgres', server.port)) ?? server.port
  const entries = await Promise.all(
    databaseNames.map(async (name) => [name, withPort(await server.createDatabase(name, name), port)] as const),
  )
  const what = `databases ${databaseNames.join(', ')}`
  return {
    urls: Object.fromEntries(entries) as DatabaseUrls,
    superuserUrl: server.url,
    part: () => ({ name: 'postgres', port: server.port, pid: server.pid, what }),
  }
}

/** The Postgres of a shop that was killed takes a moment to leave. */
async function startPostgresWhenFree(dir: string, signal: AbortSignal): Promise<PostgresServer> {
  for (let waits = 0; ; waits += 1) {
    try {
      return await startPostgres({ dir, signal })
    } catch (error) {
      if (!(error instanceof PostgresRuns)) throw error
      if (waits === maxLeavingWaits) {
        throw new Error(
          `The Postgres of an earlier start (pid ${error.pid}) still runs on ${dir}: stop it with \`kill ${error.pid}\`.`,
        )
      }
      await sleep(leavingWaitMs, undefined, { signal })
    }
  }
}

interface RedisForServices {
  urlAs(service: string): string
  part?: () => Part
}

async function ownRedis(role: KeyRole, families: readonly KeyFamily[], stage: Stage): Promise<RedisForServices> {
  const name = `redis-${role}` as const
  const dir = join(stage.options.dataDir, name)
  const { redis } = stage.secrets
  const { harness } = stage.options
  // The same users as in the containers: a key that is not declared fails here first.
  const acl = aclFile(role, families, redis) + (harness ? operatorUser(harness) : '')
  const users = { acl, username: 'health', password: redis.health }
  const starting = startRedis({ dir, startTimeoutMs, signal: stage.signal, config: settings[role], ...users })
  const server: RedisServer = await keep(name, dir, starting, stage)
  const port = (await harness?.between(name, server.port)) ?? server.port
  return {
    urlAs: (service) => urlAs(service, port, redis),
    part: () => ({ name, port: server.port, pid: server.pid, what: purposes[role] }),
  }
}

function urlAs(service: string, port: number, passwords: Secrets['redis']): string {
  const password = passwords[service]
  if (!password) throw new Error(`no Redis password for ${service}: is it in libs/contracts/services.ts?`)
  return `redis://${service}:${password}@127.0.0.1:${port}`
}

const purposes = {
  cache: 'cached reads, edge throttles; may be lost',
  state: 'sessions, carts, streams; kept on disk',
}

const settings: Record<KeyRole, RedisOptions['config']> = {
  /** May forget: under pressure what is used least goes first, and nothing is written to disk. */
  cache: { maxmemory: '64mb', 'maxmemory-policy': 'allkeys-lfu' },
  /** Must not forget: a full server refuses writes, and a restart loses a second at most. */
  state: { maxmemory: '256mb', 'maxmemory-policy': 'noeviction', appendonly: 'yes', appendfsync: 'everysec' },
}

interface Restartable {
  readonly exited: Promise<Exit>
  restart(): Promise<void>
  stop(): Promise<void>
}

/** How to stop it is noted before it has started: a start that fails beside it must not leave it running. */
async function keep<Server extends Restartable>(
  name: string,
  dir: string,
  starting: Promise<Server>,
  { undo, supervisor }: Stage,
): Promise<Server> {
  let stopKeeping = () => {}
  undo.push(async () => {
    stopKeeping()
    await starting.then(
      (server) => server.stop(),
      () => {},
    )
  })
  const server = await starting.catch((error) => Promise.reject(explainDataFailure(name, dir, error)))
  const running = (): Running => ({
    exited: server.exited.then(({ code, signal }) => signal ?? `exit code ${code}`),
  })
  const again = () => server.restart().then(running, (error) => Promise.reject(explainDataFailure(name, dir, error)))
  stopKeeping = keepAlive(name, running(), again, supervisor).stop
  return server
}
