/**
 * How often one id may do something, decided by Redis for all processes together. GCRA: a sustained rate and a burst,
 * exact over every interval, one small key per id. A decision takes one round trip at most and a bounded time always.
 */
import { BreakerOpen, BreakerTimeout } from '../circuit-breaker/errors.ts'
import type { Redis } from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { within } from '../flow/deadline.ts'
import { type KeyFamily, keyFamily } from '../keys.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { script } from '../script.ts'
import { createDenials } from './denials.ts'
import { type Policy, type Rate, type Spacing, spacingOf, type Verdict } from './gcra.ts'
import { createLocalBucket } from './local-bucket.ts'

export type { Policy, Rate } from './gcra.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** What a caller is told to wait when the limiter fails closed: nobody knows, so neither long nor at once. */
const CLOSED_RETRY_MS = 1000

type Reply = [allowed: 0 | 1, remaining: number, retryAfterMs: number, resetAfterMs: number, tatUs: number]

const gcra = script<Reply>(new URL('./gcra.lua', import.meta.url))
const refundCharge = script<0 | 1>(new URL('./refund.lua', import.meta.url))

/**
 * One string per id: `gateway:rate-limit:ip:<id>`. It expires when the bucket is full again.
 * `role` is 'cache' where losing the counters is harmless (edge throttles), 'state' where it is not (sign-in).
 */
export function rateLimitKeys(service: string, name: string, role: 'cache' | 'state'): KeyFamily {
  return keyFamily({
    service,
    pattern: `${service}:rate-limit:${name}:<id>`,
    type: 'string',
    role,
    ttl: { ms: DAY_MS },
    example: ['203.0.113.7'],
    doc: `the time at which the "${name}" limit of this id is full again, microseconds`,
  })
}

export interface RateLimitOptions {
  keys: KeyFamily
  /** The sustained rate: `{ count: 100, periodMs: 60_000 }` is one every 600 ms in the long run. */
  limit: Rate
  /** How many at once after a pause. Separate from the rate: 120 per minute with burst 1 is two a second, evenly. */
  burst: number
  /**
   * What to answer when Redis cannot: 'open' admits (throttles), 'closed' refuses (sign-in, payment), 'local' keeps
   * this instance's share of the limit in memory. Such a decision says `degraded: true`.
   */
  onUnavailable: 'open' | 'closed' | 'local'
  /** The longest a decision may take, whatever Redis does. @default 50 */
  deadlineMs?: number
  /** How many processes share the limit, for 'local': usually what discovery knows. @default () => 1 */
  instances?: () => number
  /**
   * The longest that this process trusts a denial it knows, without asking Redis: a refund, a reset or a new policy in another process
   * holds here after this. 0: it asks each time. @default 1_000
   */
  maxKnownDenialMs?: number
  /** The most ids remembered in this process, as denied and (for 'local') as charged. 0: none, except for 'local'. @default 10_000 */
  maxLocalIds?: number
  /** Told why a decision was degraded: for a log line or a counter. */
  onDegraded?: (error: unknown) => void
  /** Runs the calls to Redis, so that a dead one is not asked by every request: a circuit breaker. */
  breaker?: { run<Value>(work: () => Promise<Value>): Promise<Value> }
}

/** What was taken, for giving it back. */
export interface Charge {
  cost: number
  tatUs: number
}

export interface Decision extends Omit<Verdict, 'tatUs'> {
  /** The rate's count, as configured. */
  limitCount: number
  /** Redis had no part in this decision: see `onUnavailable`. */
  degraded: boolean
  /** Present when Redis charged for it. */
  charge?: Charge
}

export interface RateLimit {
  readonly policy: Policy
  /** Asks for `cost` units, and takes them if there are as many. A denial takes nothing and prolongs nothing. */
  check(id: string, cost?: number, deadlineMs?: number): Promise<Decision>
  /** The denial this process already knows of; costs no round trip. */
  knownDenial(id: string, cost?: number): Decision | undefined
  /** Gives a charge back; false when it could not be, or when time has already done so. Rejects as `check` does. */
  refund(id: string, charge: Charge, deadlineMs?: number): Promise<boolean>
}

/** Throws RangeError for a limit that cannot be kept. `check` rejects only for what is no outage: a bad cost, no permission. */
export function createRateLimit(redis: Redis, options: RateLimitOptions): RateLimit {
  const { keys, limit, burst, onUnavailable, breaker = noBreaker, onDegraded } = options
  const { deadlineMs: usualDeadlineMs = 50, instances = () => 1, maxLocalIds: maxIds = 10_000 } = options
  const { maxKnownDenialMs: maxAgeMs = 1000 } = options
  checkNumbers(`rate limit ${keys.pattern}`, options, {
    deadlineMs: { min: 1, max: MAX_TIMER_MS },
    maxKnownDenialMs: { min: 0 },
    maxLocalIds: { min: onUnavailable === 'local' ? 1 : 0, isWhole: true },
  })
  const policy: Policy = { ...limit, burst }
  const spacing = requireFits(spacingOf(policy), keys)
  const denials = createDenials({ burst, intervalMs: spacing.intervalUs / 1000, maxAgeMs, maxIds, nowMs })
  const local = createLocalBucket(policy, { instances, maxIds, nowMs })

  async function check(id: string, cost = 1, deadlineMs = usualDeadlineMs): Promise<Decision> {
    requireCost(cost)
    const known = knownDenial(id, cost)
    if (known) return known
    const args = [spacing.intervalUs, spacing.toleranceUs, spacing.intervalUs * cost]
    const askedMs = nowMs()
    try {
      const reply = await inTime(
        breaker.run(() => gcra(redis, [keys.key(id)], args)),
        deadlineMs,
      )
      const verdict = verdictOf(reply)
      if (verdict.retryAfterMs > 0) denials.add(id, { cost, denial: verdict, askedMs })
      return decisionOf(verdict, limit.count, verdict.allowed ? { cost, tatUs: verdict.tatUs } : undefined)
    } catch (error) {
      requireOutage(error)
      onDegraded?.(error)
      return degraded(onUnavailable === 'local' ? local.check(id, cost) : fixedVerdicts[onUnavailable], limit.count)
    }
  }
  function knownDenial(id: string, cost = 1): Decision | undefined {
    const denial = denials.find(id, cost)
    return denial && decisionOf({ allowed: false, ...denial, tatUs: 0 }, limit.count)
  }
  async function refund(id: string, { cost, tatUs }: Charge, deadlineMs = usualDeadlineMs): Promise<boolean> {
    const args = [spacing.intervalUs * cost, tatUs]
    try {
      const run = () => refundCharge(redis, [keys.key(id)], args)
      return (await inTime(breaker.run(run), deadlineMs)) === 1
    } catch (error) {
      requireOutage(error)
      onDegraded?.(error)
      return false
    } finally {
      denials.forget(id) // after the answer: a denial that overtook the refund is void as well
    }
  }

  return { policy, check, knownDenial, refund }
}

/** Monotonic: a step of this machine's clock must neither free nor lock anybody. */
const nowMs = () => performance.now()

const noBreaker = { run: <Value>(work: () => Promise<Value>) => work() }

const fixedVerdicts: Record<'open' | 'closed', Verdict> = {
  open: { allowed: true, remaining: 0, retryAfterMs: 0, resetAfterMs: 0, tatUs: 0 },
  closed: { allowed: false, remaining: 0, retryAfterMs: CLOSED_RETRY_MS, resetAfterMs: CLOSED_RETRY_MS, tatUs: 0 },
}

function verdictOf([allowed, remaining, retryAfterMs, resetAfterMs, tatUs]: Reply): Verdict {
  return { allowed: allowed === 1, remaining, retryAfterMs, resetAfterMs, tatUs }
}

function decisionOf({ allowed, remaining, retryAfterMs, resetAfterMs }: Verdict, limitCount: number, charge?: Charge) {
  const decision: Decision = { allowed, limitCount, remaining, retryAfterMs, resetAfterMs, degraded: false, charge }
  return decision
}

function degraded(verdict: Verdict, limitCount: number): Decision {
  return { ...decisionOf(verdict, limitCount), degraded: true }
}

/** A decision that comes later is of no use to the request that waits for it. */
class DecisionLate extends Error {
  override readonly name = 'DecisionLate'
  readonly code = 'RATE_LIMIT_LATE'
}

function inTime<Value>(decision: Promise<Value>, deadlineMs: number): Promise<Value> {
  return within(decision, deadlineMs, () => {
    throw new DecisionLate(`no decision within ${deadlineMs} ms`)
  })
}

/** The fail mode is for outages. A missing permission or a broken script is a mistake, and must not pass for one. */
function requireOutage(error: unknown) {
  const isNoAnswer = error instanceof DecisionLate || error instanceof BreakerOpen || error instanceof BreakerTimeout
  if (!isNoAnswer && !isRedisOutage(error)) throw error
}

function requireCost(cost: number) {
  if (!Number.isSafeInteger(cost) || cost < 1) throw new RangeError(`cost must be an integer >= 1, not ${cost}`)
}

/** A key lives until its bucket is full again, which must not be longer than its family says. */
function requireFits(spacing: Spacing, keys: KeyFamily): Spacing {
  const refillMs = spacing.toleranceUs / 1000
  if ('ms' in keys.ttl && refillMs > keys.ttl.ms) {
    throw new RangeError(`a full burst takes ${refillMs} ms to refill, longer than ${keys.pattern} may live`)
  }
  return spacing
}
