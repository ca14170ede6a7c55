/**
 * How much of a Cluster answers. A PING says little about it: it goes to one node, and a node answers it although the Cluster is down.
 * So each master is asked for a key of its own, on the way that all commands take.
 */
import { type Cluster, Command } from 'ioredis'
import { isRedisOutage } from '../../errors.ts'
import { within } from '../../flow/deadline.ts'
import type { KeyFamily } from '../../keys.ts'
import type { Redis } from '../connection.ts'

export interface Reach {
  /** Masters that may hold keys of the family. 0: not a Cluster, or its slots are not known yet. */
  nodeCount: number
  reachedCount: number
  /** Why one of the others did not answer. */
  error?: unknown
}

export interface ReachOptions {
  /** Whose keys are asked for: those of the job. The Redis user needs EXISTS on them; a refusal is an answer too. */
  family: KeyFamily
  /** How long to wait for an answer. */
  withinMs: number
}

/** Slots are found by trying ids, one of three masters after a few. A family with fewer keys may not reach all of them. */
const MAX_TRIES = 1000

/** Never rejects. */
export async function reachOf(redis: Redis, { family, withinMs }: ReachOptions): Promise<Reach> {
  const keys = redis.isCluster ? keyPerMaster(redis as Cluster, family) : []
  const errors = (await Promise.all(keys.map((key) => failureOf(redis, key, withinMs)))).filter(Boolean)
  return { nodeCount: keys.length, reachedCount: keys.length - errors.length, ...(errors[0] && { error: errors[0] }) }
}

function keyPerMaster({ slots }: Cluster, family: KeyFamily): string[] {
  const masters = new Set(slots.map((nodes) => nodes?.[0]).filter((name) => name !== undefined))
  const keys = new Map<string, string>()
  for (let n = 0; n < MAX_TRIES && keys.size < masters.size; n++) {
    const key = family.key(...family.example.map(() => `reach-${n}`))
    const slot = new Command('exists', [key]).getSlot()
    const master = typeof slot === 'number' ? slots[slot]?.[0] : undefined
    if (master !== undefined && !keys.has(master)) keys.set(master, key)
  }
  return [...keys.values()]
}

/** Undefined when the node answers, with an error too, as long as that does not mean that it cannot serve. */
async function failureOf(redis: Redis, key: string, withinMs: number): Promise<Error | undefined> {
  const answered = redis.exists(key).then(
    () => undefined,
    (error: Error) => (isRedisOutage(error) ? error : undefined),
  )
  return within<Error | undefined>(answered, withinMs, () => new Error(`no answer within ${withinMs} ms`))
}
