/**
 * How often one id may do something, decided by Redis for all processes together. A decision takes one round trip at most and a
 * bounded time always. GCRA by default: a sustained rate and a burst, exact over every interval, one small key per id.
 */
import type { Redis } from '../connection/connection.ts'
import { type KeyFamily, keyFamily } from '../keys.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { type Algorithm, type FailMode, kinds, MAX_PERIOD_MS, type Mode, type Policy, planOf } from './algorithms.ts'
import { type Charge, newChargeId, requireCharge, requireCost } from './charge.ts'
import { createFixedAnswer, createInTime, requireOutage } from './degraded.ts'
import { createDenials } from './denials.ts'
import type { Rate, Verdict } from './gcra.ts'
import { createLocalBucket } from './local-bucket.ts'

export type { Algorithm, Policy } from './algorithms.ts'
export type { Charge } from './charge.ts'
export type { Rate } from './gcra.ts'

const DAY_MS = 24 * 60 * 60 * 1000

export interface RateLimitKeys {
  /** What an id has used: `gateway:rate-limit:address:{203.0.113.7}`. Its type is the algorithm's. */
  bucket: KeyFamily
  /** Marks that a charge was given back: `gateway:rate-limit:address:{203.0.113.7}:refund:<charge>`, a string. */
  refund: KeyFamily
}

export interface RateLimitKeysOptions {
  /** @default gcra */
  algorithm?: Algorithm
  /** The longest period, and the longest refill of a burst, that a limit of these keys may have. @default a day */
  maxPeriodMs?: number
}

/**
 * The keys of one limit, or with placeholders in `name` of several: `cache:gcra:<policy>`.
 * `role` is 'cache' where losing the counters is harmless (edge throttles), 'state' where it is not (sign-in).
 */
export function rateLimitKeys(
  service: string,
  name: string,
  role: 'cache' | 'state',
  { algorithm = 'gcra', maxPeriodMs = DAY_MS }: RateLimitKeysOptions = {},
): RateLimitKeys {
  checkNumbers(`rate limit ${name}`, { maxPeriodMs }, { maxPeriodMs: { min: 1, max: MAX_PERIOD_MS } })
  const { type, holds, periods } = kinds[algorithm]
  const pattern = `${service}:rate-limit:${name}:{<id>}`
  const names = [...name.matchAll(/<([^>]+)>/g)].map(([, placeholder]) => placeholder as string)
  const example = [...names, '203.0.113.7']
  const common = { service, role, ttl: { ms: maxPeriodMs * periods } }
  return {
    bucket: keyFamily({
      ...common,
      pattern,
      type,
      example,
      doc: `${algorithm} of the "${name}" limit of this id: ${holds}`,
    }),
    refund: keyFamily({
      ...common,
      pattern: `${pattern}:refund:<charge>`,
      type: 'string',
      example: [...example, 'q3Jk9w-1'],
      doc: `this charge of the "${name}" limit was given back`,
    }),
  }
}

export interface RateLimitOptions {
  keys: RateLimitKeys
  /** The ids of the placeholders in the name of the keys. @default none */
  prefix?: readonly string[]
  /** Must be that of the keys. @default gcra */
  algorithm?: Algorithm
  /** The sustained rate: `{ count: 100, periodMs: 60_000 }` is one every 600 ms in the long run. A period of 1 ms to 366 days. */
  limit: Rate
  /**
   * How much at once after a pause. Separate from the rate: 120 per minute with burst 1 is two a second, evenly. Windows have none.
   * @default limit.count
   */
  burst?: number
  /**
   * What to answer when Redis cannot: 'open' admits (throttles), 'closed' refuses (guesses of a password), 'local' keeps
   * this instance's share of the limit in memory. Such a decision says `degraded: true`.
   */
  onUnavailable: FailMode
  /** The longest a decision may take, whatever Redis does. @default 50 */
  deadlineMs?: number
  /** How many processes share the limit, for 'local': usually what discovery knows. @default () => 1 */
  instances?: () => number
  /** The most ids remembered in this process, as denied and (for 'local') as charged. 0: none, except for 'local'. @default 10_000 */
  maxLocalIds?: number
  /** How long this process trusts a denial that it knows. Then one call asks Redis again, and sees what others did. @default 1_000 */
  maxKnownDenialMs?: number
  /** Gets the reason of each degraded decision: for a log line or a counter. */
  onDegraded?: (error: unknown) => void
  /** Runs the calls to Redis, so that a dead one is not asked by every request: a circuit breaker. */
  breaker?: { run<Value>(work: () => Promise<Value>): Promise<Value> }
}

export interface Decision extends Verdict {
  /** The rate's count, as configured. */
  limitCount: number
  /** Redis had no part in this decision: see `onUnavailable`. */
  degraded: boolean
  /** Present when it was charged for, in Redis or to the share of this process: for giving it back. */
  charge?: Charge
}

export interface RateLimit {
  readonly policy: Policy
  /** Asks for `cost` units, and takes them if there are as many. A denial takes nothing and prolongs nothing. */
  check(id: string, cost?: number, deadlineMs?: number): Promise<Decision>
  /** The decision of a `check` now, which takes nothing. */
  peek(id: string, cost?: number, deadlineMs?: number): Promise<Decision>
  /**
   * Takes `cost` units whether or not they fit, down to an empty bucket: the wait is never longer than one full refill.
   * Answers as `peek` for one unit does afterwards. A penalty cannot be refunded.
   */
  penalize(id: string, cost: number, deadlineMs?: number): Promise<Decision>
  /** Gives a charge back, once for all processes; false when it was before, could not be, or when time has already done so. */
  refund(id: string, charge: Charge, deadlineMs?: number): Promise<boolean>
  /** Forgets what the id has used. Rejects when Redis does not answer: it is not known then whether it did. */
  reset(id: string, deadlineMs?: number): Promise<void>
  /** The denial this process already knows of; costs no round trip. */
  knownDenial(id: string, cost?: number): Decision | undefined
}

/**
 * Throws RangeError for a limit that cannot be kept. `check`, `peek`, `penalize` and `refund` reject only for what is no outage: a
 * bad cost, no permission.
 */
export function createRateLimit(redis: Redis, options: RateLimitOptions): RateLimit {
  const { keys, prefix = [], limit, breaker = noBreaker, onDegraded, deadlineMs: usualDeadlineMs = 50 } = options
  const { policy, plan, denials, local } = partsOf(options)
  const inTime = createInTime(usualDeadlineMs)
  return { policy, check, peek, penalize, refund, reset, knownDenial }

  function check(id: string, cost = 1, deadlineMs = usualDeadlineMs): Promise<Decision> {
    return decide('check', { id, cost, deadlineMs })
  }

  function peek(id: string, cost = 1, deadlineMs = usualDeadlineMs): Promise<Decision> {
    return decide('peek', { id, cost, deadlineMs })
  }

  function penalize(id: string, cost: number, deadlineMs = usualDeadlineMs): Promise<Decision> {
    return decide('penalize', { id, cost, deadlineMs })
  }

  async function decide(mode: Mode, { id, cost, deadlineMs }: Question): Promise<Decision> {
    requireCost(cost)
    const known = mode === 'penalize' ? undefined : knownDenial(id, cost)
    if (known) return known
    const bucket = keys.bucket.key(...prefix, id)
    const chargeId = newChargeId()
    const askedMs = nowMs()
    const endRenewal = denials.renew(id)
    try {
      const args = plan.keepsCharges ? [cost, mode, chargeId] : [cost, mode]
      const run = () => plan.decide(redis, [bucket], [...plan.numbers, ...args])
      const [allowed, remaining, retryAfterMs, resetAfterMs, stampUs] = await inTime(breaker.run(run), deadlineMs)
      const verdict = { allowed: allowed === 1, remaining, retryAfterMs, resetAfterMs }
      // A penalty answers for one unit.
      if (retryAfterMs > 0) denials.add(id, { cost: mode === 'penalize' ? 1 : cost, denial: verdict, askedMs })
      const charge = mode === 'check' && verdict.allowed ? { cost, id: chargeId, stampUs } : undefined
      return { ...verdict, limitCount: limit.count, degraded: false, charge }
    } catch (error) {
      requireOutage(error)
      onDegraded?.(error)
      return { charge: undefined, ...local[mode](id, cost), limitCount: limit.count, degraded: true }
    } finally {
      endRenewal()
    }
  }

  function knownDenial(id: string, cost = 1): Decision | undefined {
    const denial = denials.find(id, cost)
    return denial && { allowed: false, ...denial, limitCount: limit.count, degraded: false, charge: undefined }
  }

  async function refund(id: string, charge: Charge, deadlineMs = usualDeadlineMs): Promise<boolean> {
    requireCharge(charge)
    const givenBackHere = local.refund(id, charge)
    if (givenBackHere !== undefined) return givenBackHere
    const bothKeys = [keys.bucket.key(...prefix, id), keys.refund.key(...prefix, id, charge.id)]
    try {
      const run = () => plan.refund(redis, bothKeys, [...plan.numbers, charge.cost, charge.stampUs, charge.id])
      return (await inTime(breaker.run(run), deadlineMs)) === 1
    } catch (error) {
      requireOutage(error)
      onDegraded?.(error)
      return false
    } finally {
      denials.forget(id) // after the answer: a denial that overtook the refund is void as well
    }
  }

  async function reset(id: string, deadlineMs = usualDeadlineMs): Promise<void> {
    try {
      await inTime(
        breaker.run(() => redis.del(keys.bucket.key(...prefix, id))),
        deadlineMs,
      )
    } finally {
      denials.forget(id)
      local.reset(id)
    }
  }
}

/** Checks the options, and makes of them what a limit consists of. */
function partsOf(options: RateLimitOptions) {
  const { keys, limit, onUnavailable, algorithm = 'gcra', burst = limit.count } = options
  const { instances = () => 1, maxLocalIds: maxIds = 10_000, maxKnownDenialMs: maxAgeMs = 1_000 } = options
  checkNumbers(`rate limit ${keys.bucket.pattern}`, options, {
    deadlineMs: { min: 1, max: MAX_TIMER_MS },
    maxLocalIds: { min: onUnavailable === 'local' ? 1 : 0, isWhole: true },
    maxKnownDenialMs: { min: 0 },
  })
  const policy: Policy = { count: limit.count, periodMs: limit.periodMs, burst, algorithm }
  const plan = planOf(policy, keys.bucket, onUnavailable)
  const denials = createDenials({ burst, intervalMs: plan.intervalMs, maxAgeMs, maxIds, nowMs })
  const local =
    onUnavailable === 'local'
      ? createLocalBucket(policy, { instances, maxIds, nowMs })
      : createFixedAnswer(onUnavailable)
  return { policy, plan, denials, local }
}

interface Question {
  id: string
  cost: number
  deadlineMs: number
}

/** Monotonic: a step of this machine's clock must neither free nor lock anybody. */
const nowMs = () => performance.now()

const noBreaker = { run: <Value>(work: () => Promise<Value>) => work() }
