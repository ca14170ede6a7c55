/**
 * What rate limits decide, for Prometheus, the log and /health/ready: one `watchRateLimits` per process, and a name for each limit, which
 * is the label `policy`.
 *
 *     const limits = watchRateLimits({ log, metrics })
 *     const attempts = limits.watch('sign-in', createRateLimit(redis, { …, onDegraded: limits.onDegraded('sign-in') }))
 *     createServer({ …, probes: [limits.probe] })
 *
 * A decision without Redis (`degraded`) is no error for the client, so it is reported here: counted, logged once a minute for each policy,
 * and a degraded check of health for ten seconds. No id is reported: ids are addresses and accounts.
 */
import type { Decision, RateLimit } from '@shop/redis-kit/rate-limit'
import type { LeakyQueueOptions, Reservation } from '@shop/redis-kit/rate-limit/queue'
import { codeOf, type Probe } from '../process/health.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface RateLimitWatch {
  /** The same limit, counted and timed. Limits of one name, before and after a new policy say, are counted together. */
  watch<Limit extends RateLimit>(policy: string, limit: Limit): Limit
  /** Options of the queue of this name: its reservations are counted and timed, and their waits measured. */
  queueOptions(policy: string): Required<Pick<LeakyQueueOptions, 'onReserved' | 'onDegraded'>>
  /** For the option `onDegraded` of the limit of this name: the reason in its log lines. */
  onDegraded(policy: string): (error: unknown) => void
  /** Degraded while Redis had no part in a decision of the last ten seconds. */
  probe: Probe
}

export interface RateLimitWatchOptions {
  log: Pick<Log, 'info' | 'warn'>
  metrics: Metrics
  /** Monotonic. @default performance.now */
  nowMs?: () => number
}

interface Policy {
  name: string
  allowedCount: number
  deniedCount: number
  allowedDegradedCount: number
  deniedDegradedCount: number
  /** Degraded decisions that no line has reported. */
  unloggedCount: number
  loggedAtMs: number
  degradedAtMs: number
  /** Why the last one was degraded: a code. */
  reason?: string
  /** A line has said that it is degraded, and none that this is over. */
  isReported: boolean
}

/** How long after its last degraded decision a policy counts as degraded. */
const DEGRADED_FOR_MS = 10_000
const LINE_EVERY_MS = 60_000
/** Policies are few. Should that ever be wrong, the rest is counted together. */
const MAX_POLICIES = 200

export function watchRateLimits({ log, metrics, nowMs = () => performance.now() }: RateLimitWatchOptions) {
  const policies = new Map<string, Policy>()
  const { durations, delays } = declare(metrics, policies)
  const { logDegraded, logIfOver } = createLines(log, nowMs)
  const seen: RateLimitWatch = {
    watch,
    queueOptions,
    onDegraded,
    probe: { name: 'rate-limits', required: false, check: checkHealth },
  }
  return seen

  function watch<Limit extends RateLimit>(name: string, limit: Limit): Limit {
    const policy = policyOf(policies, name)
    return { ...limit, check, knownDenial }

    /** A known denial takes less time than an observation of its duration. */
    function check(id: string, cost?: number, deadlineMs?: number): Promise<Decision> {
      const known = knownDenial(id, cost)
      return known ? Promise.resolve(known) : ask(id, cost, deadlineMs)
    }
    async function ask(id: string, cost?: number, deadlineMs?: number): Promise<Decision> {
      const startedAtMs = nowMs()
      const decision = await limit.check(id, cost, deadlineMs)
      durations.observe({ policy: policy.name }, (nowMs() - startedAtMs) / 1000)
      count(policy, decision)
      return decision
    }
    function knownDenial(id: string, cost?: number): Decision | undefined {
      const denial = limit.knownDenial(id, cost)
      if (denial) policy.deniedCount += 1
      return denial
    }
  }

  function queueOptions(name: string) {
    const policy = policyOf(policies, name)
    function onReserved(reservation: Reservation, durationMs: number) {
      durations.observe({ policy: policy.name }, durationMs / 1000)
      if (reservation.allowed) delays.observe({ policy: policy.name }, reservation.delayMs / 1000)
      count(policy, reservation)
    }
    return { onReserved, onDegraded: onDegraded(name) }
  }

  /** Peeks, penalties and refunds that fail end here too. They are no decisions, so only health shows them. */
  function onDegraded(name: string) {
    const policy = policyOf(policies, name)
    return (error: unknown) => {
      policy.reason = codeOf(error)
      policy.degradedAtMs = nowMs()
    }
  }

  function count(policy: Policy, { allowed, degraded }: Pick<Decision, 'allowed' | 'degraded'>) {
    if (degraded) {
      policy[allowed ? 'allowedDegradedCount' : 'deniedDegradedCount'] += 1
      policy.unloggedCount += 1
      policy.degradedAtMs = nowMs()
      logDegraded(policy)
    } else {
      policy[allowed ? 'allowedCount' : 'deniedCount'] += 1
      if (policy.isReported) logIfOver(policy)
    }
  }

  async function checkHealth(): Promise<void> {
    if (![...policies.values()].some((policy) => isDegraded(policy, nowMs()))) return
    throw Object.assign(new Error('decided without Redis'), { code: 'RATE_LIMITS_DEGRADED' })
  }
}

/** For each policy: a line when it degrades, one a minute while that lasts, and one when it is over. */
function createLines(log: RateLimitWatchOptions['log'], nowMs: () => number) {
  return { logDegraded, logIfOver }

  function logDegraded(policy: Policy) {
    if (nowMs() - policy.loggedAtMs < LINE_EVERY_MS) return
    const { name, reason, unloggedCount: degradedCount } = policy
    log.warn({ policy: name, degradedCount, reason }, 'rate limit degraded: decided without Redis')
    Object.assign(policy, { loggedAtMs: nowMs(), unloggedCount: 0, isReported: true })
  }

  function logIfOver(policy: Policy) {
    if (isDegraded(policy, nowMs())) return
    const { name, unloggedCount: degradedCount } = policy
    log.info({ policy: name, degradedCount }, 'rate limit restored: decided by Redis')
    Object.assign(policy, { unloggedCount: 0, isReported: false })
  }
}

function isDegraded({ degradedAtMs }: Policy, nowMs: number): boolean {
  return nowMs - degradedAtMs < DEGRADED_FOR_MS
}

function policyOf(policies: Map<string, Policy>, name: string): Policy {
  const key = policies.has(name) || policies.size < MAX_POLICIES ? name : 'other'
  const policy = policies.get(key) ?? newPolicy(key)
  policies.set(key, policy)
  return policy
}

function newPolicy(name: string): Policy {
  const counts = { allowedCount: 0, deniedCount: 0, allowedDegradedCount: 0, deniedDegradedCount: 0, unloggedCount: 0 }
  return { name, ...counts, loggedAtMs: -Infinity, degradedAtMs: -Infinity, isReported: false }
}

const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
const delayBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

function declare(metrics: Metrics, policies: ReadonlyMap<string, Policy>) {
  return metrics.extend((prom, registers) => {
    const common = { labelNames: ['policy'], registers }
    new prom.Counter({
      ...common,
      name: 'rate_limit_decisions_total',
      help: 'Decisions of rate limits; degraded ones were made without Redis',
      labelNames: ['policy', 'decision', 'degraded'],
      collect() {
        this.reset()
        for (const policy of policies.values()) {
          for (const [decision, degraded, total] of totalsOf(policy)) {
            this.inc({ policy: policy.name, decision, degraded }, total)
          }
        }
      },
    })
    const durations = new prom.Histogram({
      ...common,
      name: 'rate_limit_duration_seconds',
      help: 'Duration of decisions; those from memory (known denials) are not observed',
      buckets: durationBuckets,
    })
    const delays = new prom.Histogram({
      ...common,
      name: 'rate_limit_queue_delay_seconds',
      help: 'Time from a reservation in a queue to its slot',
      buckets: delayBuckets,
    })
    return { durations, delays }
  })
}

function totalsOf(policy: Policy) {
  return [
    ['allowed', 'false', policy.allowedCount],
    ['denied', 'false', policy.deniedCount],
    ['allowed', 'true', policy.allowedDegradedCount],
    ['denied', 'true', policy.deniedDegradedCount],
  ] as const
}
