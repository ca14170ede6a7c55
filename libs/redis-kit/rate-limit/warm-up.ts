/**
 * Limits that decide from the first request on. Without this a new process spends the deadline of its first decisions on connecting and
 * on sending scripts, and on a busy machine decides them without Redis.
 */
import { type Redis, whenReady } from '../connection/connection.ts'
import { within } from '../flow/deadline.ts'
import { type Algorithm, type Plan, planOf } from './algorithms.ts'
import type { RateLimitKeys } from './rate-limit.ts'

export interface ColdLimit {
  redis: Redis
  keys: RateLimitKeys
  /** The ids of the placeholders in the name of the keys. @default none */
  prefix?: readonly string[]
  /** @default gcra */
  algorithm?: Algorithm
}

/** An id that no caller has: nothing is charged to it. */
const ID = 'warm-up'

/**
 * Before the process listens: waits for the connections, and runs the script of each limit once, by a peek. Takes nothing, and leaves no
 * key. Resolves after `deadlineMs` at the latest, with Redis or without: an outage is reported by the decisions that it concerns.
 */
export async function warmUp(limits: readonly ColdLimit[], deadlineMs = 2_000): Promise<void> {
  const peeks = limits.map((limit) => {
    const { keys, algorithm = 'gcra' } = limit
    const plan = planOf({ count: 1, periodMs: 1_000, burst: 1, algorithm }, keys.bucket, 'open')
    return peek(limit, plan, deadlineMs)
  })
  await within(Promise.allSettled(peeks), deadlineMs, () => [])
}

async function peek({ redis, keys, prefix = [] }: ColdLimit, plan: Plan, deadlineMs: number) {
  await whenReady(redis, deadlineMs)
  const args = plan.keepsCharges ? [1, 'peek', ID] : [1, 'peek']
  await plan.decide(redis, [keys.bucket.key(...prefix, ID)], [...plan.numbers, ...args])
}
