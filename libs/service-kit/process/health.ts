/**
 * Two questions that are often confused. Live: does this process turn? Answering is the proof; it depends on nothing, so that an
 * outage of Redis does not restart every service. Ready: can it do its main job now? Asked of the dependencies themselves, each with
 * a deadline, all at once, and at most once a second however often the question is put.
 */

import type { Redis } from '@shop/redis-kit/connection'
import { diagnose } from '@shop/redis-kit/connection/server/diagnosis'
import { reachOf } from '@shop/redis-kit/connection/topology/cluster-reach'
import { withDeadline } from '@shop/redis-kit/flow/deadline'
import type { KeyFamily } from '@shop/redis-kit/keys'

export interface Probe {
  name: string
  /**
   * Resolves when the dependency answers; the signal is aborted when the time is up. Rejects with PartlyAway when a share of it does,
   * which makes the service degraded even where it is required: it does its job for that share.
   */
  check(signal: AbortSignal): Promise<unknown>
  /** Without a required dependency the service is unready; without an optional one degraded. */
  required: boolean
  /** @default 1000 */
  timeoutMs?: number
}

export interface Check {
  name: string
  ok: boolean
  required: boolean
  durationMs: number
  /** A code, never a message: messages hold addresses and user names. */
  error?: string
  /** How much of it answers, where that is not all or nothing: `2/3`. */
  share?: string
}

/** A share of a dependency is away. */
export class PartlyAway extends Error {
  readonly code = 'PARTLY_AWAY'
  override readonly name = 'PartlyAway'
  readonly share: string
  constructor(share: string, options: ErrorOptions) {
    super(`${share} answer`, options)
    this.share = share
  }
}

export interface Readiness {
  status: 'ready' | 'degraded' | 'unready'
  checks: Check[]
}

export interface Health {
  /** What can be said now, from at most `cacheMs` ago. Never rejects. */
  ready(): Promise<Readiness>
  /** Adds a probe: for what is known only after the server was made. */
  add(probe: Probe): void
  /** From now on unready: the first step of stopping. */
  stop(): void
  isStopping(): boolean
}

export interface HealthOptions {
  /** How long an answer is reused, so that asking cannot be used to hammer the dependencies. @default 1000 */
  cacheMs?: number
}

export function createHealth(initialProbes: readonly Probe[] = [], { cacheMs = 1_000 }: HealthOptions = {}): Health {
  const probes = [...initialProbes]
  let stopping = false
  let answer: Promise<Readiness> | undefined
  let staleAtMs = Number.POSITIVE_INFINITY

  return { ready, add, stop, isStopping: () => stopping }

  function ready(): Promise<Readiness> {
    if (stopping) return Promise.resolve({ status: 'unready', checks: [stoppingCheck] })
    // While an answer is awaited everybody waits for the same one; only then does its time begin to run.
    if (answer === undefined || performance.now() >= staleAtMs) {
      staleAtMs = Number.POSITIVE_INFINITY
      const asked = Promise.all(probes.map(run)).then(judge)
      answer = asked
      asked.then(() => {
        if (answer === asked) staleAtMs = performance.now() + cacheMs
      })
    }
    return answer
  }

  function add(probe: Probe) {
    probes.push(probe)
    answer = undefined
  }

  function stop() {
    stopping = true
  }
}

const stoppingCheck: Check = { name: 'process', ok: false, required: true, durationMs: 0, error: 'STOPPING' }

async function run({ name, check, required, timeoutMs = 1_000 }: Probe): Promise<Check> {
  const startedAtMs = performance.now()
  const late = () => Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'TIMEOUT' })
  const elapsedMs = () => Math.round((performance.now() - startedAtMs) * 10) / 10
  try {
    await withDeadline(check, { ms: timeoutMs, late })
    return { name, ok: true, required, durationMs: elapsedMs() }
  } catch (error) {
    const failed = { name, ok: false, required, durationMs: elapsedMs() }
    if (error instanceof PartlyAway) return { ...failed, error: error.code, share: error.share }
    return { ...failed, error: codeOf(error) }
  }
}

/** Why something failed, without words: messages hold addresses and user names. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown })?.code
  // Not "unavailable" but why: WRONGPASS, CERTIFICATE, UNREACHABLE; of Postgres 28P01, ECONNREFUSED.
  if (code === 'REDIS_UNAVAILABLE' && (error as Error).cause) return diagnose((error as Error).cause).code
  if (code === 'POSTGRES_NOT_CONNECTED' && (error as Error).cause) return codeOf((error as Error).cause)
  if (typeof code === 'string' && /^[\w-]{1,40}$/.test(code)) return code
  return error instanceof Error && error.name === 'ReplyError' ? codeOfReply(error) : 'FAILED'
}

/** Redis begins an error with its code. */
function codeOfReply({ message }: Error): string {
  return /^[A-Z]{2,20}(?= )/.exec(message)?.[0] ?? 'FAILED'
}

function judge(checks: Check[]): Readiness {
  const failed = checks.filter((check) => !check.ok)
  if (failed.some((check) => check.required && check.share === undefined)) return { status: 'unready', checks }
  return { status: failed.length > 0 ? 'degraded' : 'ready', checks }
}

export interface RedisProbeOptions {
  required: boolean
  /** Of the job: on a Cluster each master is asked for one of its keys. @default only a PING, to any node */
  family?: KeyFamily
  /** @default 1000 */
  timeoutMs?: number
}

/** A single server is asked for a PONG; a Cluster whether each of its masters serves keys. */
export function redisProbe(
  name: string,
  redis: Redis | { ping(): Promise<unknown>; isCluster?: false },
  { required, family, timeoutMs = 1_000 }: RedisProbeOptions,
): Probe {
  // Earlier than the probe's own end: what some nodes have answered by then is an answer.
  const withinMs = timeoutMs * 0.8
  return { name, required, timeoutMs, check: () => (family && redis.isCluster ? checkCluster(redis) : redis.ping()) }

  async function checkCluster(cluster: Redis): Promise<unknown> {
    const { nodeCount, reachedCount, error } = await reachOf(cluster, { family: family as KeyFamily, withinMs })
    if (nodeCount === 0) return cluster.ping() // its slots are not known yet
    if (reachedCount === 0) throw error
    if (reachedCount < nodeCount) throw new PartlyAway(`${reachedCount}/${nodeCount}`, { cause: error })
  }
}

/** Whether the list of instances is as the registry has it. Callers go on with the last one, and ask the instances themselves. */
export function directoryProbe(directory: { isDegraded(): boolean }): Probe {
  return { name: 'directory', required: false, check: async () => refuseIf(directory.isDegraded()) }
}

function refuseIf(isOutdated: boolean): void {
  if (isOutdated) throw Object.assign(new Error('the registry does not answer'), { code: 'DIRECTORY_OUTDATED' })
}

/** Asks Postgres for a row, through Prisma. */
export function prismaProbe(
  prisma: { $queryRawUnsafe(sql: string): Promise<unknown> },
  { name = 'postgres', required = true, timeoutMs }: { name?: string; required?: boolean; timeoutMs?: number } = {},
): Probe {
  return {
    name,
    required,
    check: () => prisma.$queryRawUnsafe('SELECT 1'),
    ...(timeoutMs !== undefined && { timeoutMs }),
  }
}
