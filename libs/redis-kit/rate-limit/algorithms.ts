/**
 * The common parts of the algorithms: a script that decides, one that gives a charge back, and the numbers that both
 * calculate with. The README says which to choose.
 */
import type { KeyFamily, KeyType } from '../keys.ts'
import { type Script, script } from '../script.ts'
import { type Rate, requireCount, spacingOf } from './gcra.ts'
import { tokenUnitsOf } from './token-units.ts'

/** A leap year: a limit per year is possible. */
export const MAX_PERIOD_MS = 366 * 24 * 60 * 60 * 1000

export type Algorithm = 'gcra' | 'token-bucket' | 'fixed-window' | 'sliding-window-counter' | 'sliding-window-log'

/** The numbers of a limit. In any interval of t ms at most `burst + t * count / periodMs` is admitted; fixed windows admit more. */
export interface Policy extends Rate {
  /** How much at once, after a pause. The windows admit their `count` at once. */
  burst: number
  algorithm: Algorithm
}

/** `check` asks and takes, `peek` only asks, `penalize` takes as much as there is. */
export type Mode = 'check' | 'peek' | 'penalize'

/** What decides while Redis does not answer: 'local' is GCRA in this process, whichever the algorithm. */
export type FailMode = 'open' | 'closed' | 'local'

export type Reply = [allowed: 0 | 1, remaining: number, retryAfterMs: number, resetAfterMs: number, stampUs: number]

/** An algorithm with its limit. */
export interface Plan {
  /** Keys: the bucket. Further arguments: `numbers`, cost, mode, and the id of the charge if `keepsCharges`. */
  decide: Script<Reply>
  /** Keys: the bucket, the marker. Further arguments: `numbers`, cost, stamp, id of the charge. */
  refund: Script<0 | 1>
  numbers: readonly number[]
  /** The bucket has the id of each charge in it. An argument less is 5 % less CPU time of Redis. @default false */
  keepsCharges?: boolean
  /** The longest that a bucket lives. */
  lifeMs: number
  /** How long one unit takes to refill. Undefined for windows, which free many units at once. */
  intervalMs?: number
}

interface Kind {
  type: KeyType
  /** How many periods a bucket lives at most. */
  periods: number
  /** What a bucket holds, for the page of keys. */
  holds: string
  /** Throws a RangeError for a limit that the algorithm cannot keep. */
  plan(policy: Policy): Plan
}

const gcra = scriptsOf('gcra')
const tokenBucket = scriptsOf('token-bucket')
const fixedWindow = scriptsOf('fixed-window')
const slidingWindowCounter = scriptsOf('sliding-window-counter')
const slidingWindowLog = scriptsOf('sliding-window-log')

/** About 100 bytes each, per id. */
const MAX_LOG_COUNT = 10_000

export const kinds: Record<Algorithm, Kind> = {
  gcra: {
    type: 'string',
    periods: 1,
    holds: 'the time at which the limit is full again, microseconds',
    plan(policy) {
      const { intervalUs, toleranceUs } = spacingOf(policy)
      const numbers = [intervalUs, toleranceUs]
      return { ...gcra, numbers, lifeMs: toleranceUs / 1000, intervalMs: intervalUs / 1000 }
    },
  },
  'token-bucket': {
    type: 'hash',
    periods: 1,
    holds: 'its tokens, and when they were counted, microseconds',
    plan(policy) {
      const { unit, refillPerUs } = tokenUnitsOf(policy)
      const intervalMs = unit / refillPerUs / 1000
      const numbers = [unit, refillPerUs, policy.burst]
      return { ...tokenBucket, numbers, lifeMs: intervalMs * policy.burst, intervalMs }
    },
  },
  'fixed-window': {
    type: 'string',
    periods: 1,
    holds: 'the start of a window, microseconds, and the units in it',
    plan: (policy) => ({ ...fixedWindow, ...windowOf(policy), lifeMs: policy.periodMs }),
  },
  'sliding-window-counter': {
    type: 'hash',
    periods: 2,
    holds: 'the start of a window, microseconds, the units in it and in the one before',
    plan: (policy) => ({ ...slidingWindowCounter, ...windowOf(policy), lifeMs: policy.periodMs * 2 }),
  },
  'sliding-window-log': {
    type: 'zset',
    periods: 1,
    holds: 'each unit of the last period, and when it was charged, microseconds',
    plan(policy) {
      if (policy.count > MAX_LOG_COUNT) {
        throw new RangeError(`limit.count of a log must be at most ${MAX_LOG_COUNT}: each unit is a member in memory`)
      }
      return { ...slidingWindowLog, ...windowOf(policy), lifeMs: policy.periodMs, keepsCharges: true }
    },
  },
}

export const ALGORITHMS = Object.keys(kinds) as readonly Algorithm[]

/**
 * The algorithm with this limit. Throws a RangeError for a limit that the algorithm or the fail mode cannot keep, and for one that the
 * keys have no room for.
 */
export function planOf(policy: Policy, bucket: KeyFamily, onUnavailable: FailMode): Plan {
  const { algorithm, count, periodMs, burst } = policy
  const kind = kinds[algorithm]
  requireCount('limit.count', count)
  requireCount('burst', burst)
  if (!(periodMs >= 1 && periodMs <= MAX_PERIOD_MS)) {
    throw new RangeError(`limit.periodMs must be from 1 to ${MAX_PERIOD_MS} (366 days), not ${periodMs}`)
  }
  if (kind.type !== bucket.type) {
    throw new RangeError(`${bucket.pattern} is a ${bucket.type}, and ${algorithm} needs a ${kind.type}`)
  }
  const plan = kind.plan(policy)
  if (onUnavailable === 'local') spacingOf(policy) // refused now, and not at the first outage
  if ('ms' in bucket.ttl && plan.lifeMs > bucket.ttl.ms) {
    throw new RangeError(
      `a full burst takes ${plan.lifeMs} ms to refill, longer than ${bucket.pattern} may live: raise maxPeriodMs of the keys`,
    )
  }
  return plan
}

function windowOf({ count, periodMs, burst, algorithm }: Policy): Pick<Plan, 'numbers'> {
  if (burst !== count) throw new RangeError(`${algorithm} has no burst of its own: omit it, or make it ${count}`)
  return { numbers: [count, Math.round(periodMs * 1000)] }
}

function scriptsOf(name: Algorithm): Pick<Plan, 'decide' | 'refund'> {
  return {
    // Binary, because its reply is numbers only: ioredis would look for text in it.
    decide: script(new URL(`./algorithm/${name}.lua`, import.meta.url), { binary: true }),
    refund: script(new URL(`./algorithm/${name}-refund.lua`, import.meta.url)),
  }
}
