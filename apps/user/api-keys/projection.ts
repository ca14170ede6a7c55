/**
 * API keys from Postgres to Redis, where the gateways read them. Postgres is the truth; the projection is written
 *
 * - after each commit, so that a revoked key stops working at once,
 * - by a loop that looks for keys whose last change has not arrived: Redis was away, or a process ended between commit and write,
 * - as a whole at the start, after each new connection (a restarted or promoted server may have lost writes), when it is found lost, and
 *   from time to time, because each key in Redis expires unless it is written again.
 *
 * All instances do all of it. write-key.lua keeps the newest version, in whatever order they write.
 */
import { randomUUID } from 'node:crypto'
import type { Redis } from '@shop/redis-kit/connection'
import { isWrongType } from '@shop/redis-kit/errors'
import { createAlarm } from '@shop/redis-kit/flow/alarm'
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import { script } from '@shop/redis-kit/script'
import { type apiKeyFields, apiKeyKeys, apiKeyLifetimeMs, completeField } from '@shop/service-kit/identity/api-key-keys'
import { isDependencyOutage } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { ApiKeyStore, StoredApiKey } from './store.ts'

const writeKey = script<number>(new URL('./write-key.lua', import.meta.url), { effect: 'idempotent' })
const beginRewrite = script<1>(new URL('./begin-rewrite.lua', import.meta.url), { effect: 'idempotent' })
const completeRewrite = script<0 | 1>(new URL('./complete-rewrite.lua', import.meta.url), { effect: 'idempotent' })

/** A change that did not arrive is found within this time: half of the second in which a revoked key has to stop working. */
const lookMs = 400
const rewriteMs = 60_000
/** A state that was read longer ago is not written: it may be outdated, and the tombstone that would refuse it gone. */
const maxReadingAgeMs = 10_000
/** Shorter than the life of a key: an absent key is never taken for an unknown one because it expired first. */
const completeMs = apiKeyLifetimeMs - rewriteMs

type ProjectedStore = Pick<ApiKeyStore, 'byId' | 'pending' | 'batchOfAll' | 'markProjected'>

interface Dependencies {
  store: ProjectedStore
  log: Log
}

export type Projection = ReturnType<typeof createProjection>

export function createProjection(redis: Redis, { store, log }: Dependencies) {
  const project = createKeyWriter(redis, store)
  const alarm = createAlarm()
  let mayBeOutdated = true
  let rewrittenAtMs = Number.NEGATIVE_INFINITY
  redis.on('ready', rewriteSoon)
  redis.on('+node', rewriteSoon) // a Cluster's node that is new, or back
  return { arrived, run }

  function rewriteSoon() {
    mayBeOutdated = true
    alarm.ring()
  }

  /** After a commit: whether Redis has the change. Never rejects; what has not arrived is left to the loop. */
  async function arrived(id: string): Promise<boolean> {
    try {
      await project(async () => [await store.byId(id)].filter((found) => found !== null))
      return true
    } catch (error) {
      log.warn({ err: error, apiKeyId: id }, 'API key not written to Redis yet')
      return false
    }
  }

  function run(signal: AbortSignal, pulse?: Pulse): Promise<void> {
    return every(lookMs, { signal, jitter: 0.2, alarm }, async () => {
      try {
        await look(signal)
        pulse?.ok()
      } catch (error) {
        mayBeOutdated = true
        // An outage does not end the loop: the pauses between restarts are longer than a revoked key may work.
        if (!isDependencyOutage(error)) throw error
        pulse?.failed(error)
      }
    })
  }

  async function look(signal: AbortSignal): Promise<void> {
    // First: among these are the keys that were revoked during an outage. The last batch is empty.
    for (let rows = await project(store.pending); rows.length > 0 && !signal.aborted; )
      rows = await project(store.pending)
    const isComplete = await readComplete(redis)
    if (isComplete && !mayBeOutdated && performance.now() < rewrittenAtMs + rewriteMs) return
    mayBeOutdated = false
    const startedAtMs = performance.now()
    if (!(await rewrite(signal))) {
      mayBeOutdated = true
      return
    }
    rewrittenAtMs = startedAtMs
    if (!isComplete) log.info('API keys written to Redis, which lacked them')
  }

  /** False when it was interrupted: by a stop, by another loss, or by the rewrite of another instance. */
  async function rewrite(signal: AbortSignal): Promise<boolean> {
    const name = randomUUID()
    const marker = [apiKeyKeys.projection.key()]
    await beginRewrite(redis, marker, [name, completeMs])
    const revokedSince = new Date(Date.now() - 2 * apiKeyLifetimeMs)
    for (let afterId: string | undefined = ''; afterId !== undefined; ) {
      if (signal.aborted) return false
      const position = { afterId, revokedSince }
      const rows = await project(() => store.batchOfAll(position))
      afterId = rows.at(-1)?.id
    }
    return (await completeRewrite(redis, marker, [name, completeMs])) === 1
  }
}

/** A key of another type says nothing: the rewrite replaces it. */
async function readComplete(redis: Redis): Promise<boolean> {
  try {
    return (await redis.hexists(apiKeyKeys.projection.key(), completeField)) === 1
  } catch (error) {
    if (isWrongType(error)) return false
    throw error
  }
}

/** Writes API keys to Redis, and notes in Postgres what has arrived. */
function createKeyWriter(redis: Redis, store: Pick<ApiKeyStore, 'markProjected'>) {
  return project

  /** Writes the rows that `read` finds, and resolves to them. Redis then has each in this version, or in a newer one. */
  async function project(read: () => Promise<StoredApiKey[]>): Promise<StoredApiKey[]> {
    const readAtMs = await serverTimeMs(redis)
    const rows = await read()
    const versions = await Promise.all(rows.map((row) => write(row, readAtMs)))
    if (versions.includes(-1)) throw new Error(`API keys not written: it took more than ${maxReadingAgeMs} ms`)
    await store.markProjected(rows.filter(({ version, projectedVersion }) => projectedVersion < version))
    return rows
  }

  function write(row: StoredApiKey, readAtMs: number): Promise<number> {
    const { id, version, expiresAt, revokedAt } = row
    const fields = revokedAt === null ? Object.entries(fieldsOf(row)).flat() : []
    const times = [readAtMs, maxReadingAgeMs, apiKeyLifetimeMs, expiresAt?.getTime() ?? '']
    return writeKey(redis, [apiKeyKeys.key.key(id)], [version, ...times, ...fields])
  }
}

function fieldsOf({ digest, scopes, perMinute, perDay }: StoredApiKey): Record<(typeof apiKeyFields)[number], string> {
  return { digest, scopes: scopes.join(' '), perMinute: String(perMinute), perDay: String(perDay) }
}

async function serverTimeMs(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}
