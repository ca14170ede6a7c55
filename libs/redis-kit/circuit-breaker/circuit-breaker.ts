/**
 * A circuit breaker: after too many failures a dependency is left alone for a while, then asked politely.
 *
 *     closed ── failureRatio of the window's calls fail ──> open ── openMs ──> half-open
 *        ^                                                   ^                  │    │
 *        └────────── `probes` calls in a row succeed ────────│──────────────────┘    │
 *                                                            └── one of them fails ──┘
 *
 * opossum samples the calls while the breaker is closed and says when to trip; the phases, the probes and the
 * cancelling of timed-out work are ours (the README says why). Each phase is one object; a phase that has ended
 * hears nothing more, so an answer that arrives late never decides about a later phase.
 */
import CircuitBreaker from 'opossum'
import { withDeadline } from '../flow/deadline.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { BreakerOpen, BreakerTimeout } from './errors.ts'

export { BreakerOpen, BreakerTimeout } from './errors.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'
export type BreakerChange = { name: string; from: BreakerState; to: BreakerState }
export type Work<T> = (signal: AbortSignal) => Promise<T>

export interface BreakerOptions {
  /** Named in errors and in state changes: one breaker per dependency and per role, as in `cache:catalog`. */
  name: string
  /** Does this error say that the dependency is in trouble? An error that does not counts as an answer. */
  isFailure: (error: unknown) => boolean
  /** Deadline of one call while closed; its signal is aborted and it counts as a failure. @default none: the work has its own */
  timeoutMs?: number
  /** Deadline of one probe. A probe always has one: a probe that hangs must not hang the breaker. @default timeoutMs, else 1000 */
  probeTimeoutMs?: number
  /** Calls of the last so many milliseconds decide. @default 10_000 */
  windowMs?: number
  /** Fewer calls than this in the window never trip the breaker. @default 20 */
  minimumCount?: number
  /** Trips when at least this share of the window's calls failed. @default 0.5 */
  failureRatio?: number
  /** How long the dependency is left alone. @default 5_000 */
  openMs?: number
  /** Calls let through when half-open; all must succeed. @default 3 */
  probes?: number
  /** Hears every change of state, after it has happened. What it throws is the process's, never the caller's. */
  onStateChange?: (change: BreakerChange) => void
}

export interface Breaker {
  /** Does the work, or throws BreakerOpen without doing it, or BreakerTimeout. Errors of the work pass through unchanged. */
  run<T>(work: Work<T>): Promise<T>
  state(): BreakerState
  /** Stops the timers. Calls are refused from then on. */
  close(): void
}

type Policy = Required<Omit<BreakerOptions, 'timeoutMs' | 'onStateChange'>> & { timeoutMs: number | false }

interface Phase {
  state: BreakerState
  run<T>(work: Work<T>): Promise<T>
  end(): void
}

/** Throws a RangeError that names the option for a number that makes no sense. */
export function createBreaker(options: BreakerOptions): Breaker {
  const time = { min: 1, max: MAX_TIMER_MS }
  const counted = { min: 1, isWhole: true }
  checkNumbers(`breaker ${options.name}`, options, {
    timeoutMs: time,
    probeTimeoutMs: time,
    windowMs: time,
    openMs: time,
    minimumCount: counted,
    probes: counted,
    failureRatio: { min: 0, max: 1 },
  })
  const policy = policyOf(options)
  const { name, onStateChange } = options
  let phase = closedPhase(policy, open)

  return {
    run: (work) => phase.run(work),
    state: () => phase.state,
    close() {
      phase.end()
      phase = openPhase(policy)
    },
  }

  function become(next: Phase) {
    const change = { name, from: phase.state, to: next.state }
    phase.end()
    phase = next
    if (onStateChange) queueMicrotask(() => onStateChange(change))
  }

  function open() {
    become(openPhase(policy, halfOpen))
  }

  function halfOpen() {
    become(halfOpenPhase(policy, { reopen: open, close: () => become(closedPhase(policy, open)) }))
  }
}

function policyOf({ timeoutMs, ...options }: BreakerOptions): Policy {
  return {
    ...breakerDefaults,
    probeTimeoutMs: timeoutMs ?? 1_000,
    ...options,
    timeoutMs: timeoutMs ?? false,
    isFailure: (error) => counts(error, options.isFailure),
  }
}

const breakerDefaults = { windowMs: 10_000, minimumCount: 20, failureRatio: 0.5, openMs: 5_000, probes: 3 }

/** A classifier that throws must not leave a call or a probe without an end: its error counts as a failure. */
function counts(error: unknown, isFailure: BreakerOptions['isFailure']): boolean {
  try {
    return isFailure(error)
  } catch {
    return true
  }
}

/** A fresh opossum per closed phase: its window starts empty, so yesterday's failures cannot trip today's breaker. */
function closedPhase(policy: Policy, trip: () => void): Phase {
  const opossum = new CircuitBreaker((work: Work<unknown>, signal: AbortSignal) => work(signal), opossumOptions(policy))
  opossum.once('open', trip)
  return { state: 'closed', run, end: () => opossum.shutdown() }

  async function run<T>(work: Work<T>): Promise<T> {
    const controller = new AbortController()
    try {
      return (await opossum.fire(work, controller.signal)) as T
    } catch (error) {
      if (!isOpossumTimeout(error)) throw error
      const timeout = new BreakerTimeout(policy.name, Number(policy.timeoutMs))
      controller.abort(timeout)
      throw timeout
    }
  }
}

/** Without `halfOpen` it stays open for good: a breaker that was closed down. */
function openPhase({ name, openMs }: Policy, halfOpen?: () => void): Phase {
  const endsAtMs = performance.now() + openMs
  const timer = halfOpen && setTimeout(halfOpen, openMs).unref()
  return {
    state: 'open',
    run: () => Promise.reject(new BreakerOpen(name, Math.max(0, endsAtMs - performance.now()))),
    end: () => clearTimeout(timer),
  }
}

/** Lets `probes` calls through. Every one of them ends by its deadline, and its end is a verdict: never stuck. */
function halfOpenPhase(policy: Policy, next: { reopen: () => void; close: () => void }): Phase {
  const { name, probes, probeTimeoutMs, isFailure } = policy
  const late = () => new BreakerTimeout(name, probeTimeoutMs)
  let runningCount = 0
  let succeededCount = 0
  let ended = false
  return {
    state: 'half-open',
    run,
    end: () => {
      ended = true
    },
  }

  async function run<T>(work: Work<T>): Promise<T> {
    if (runningCount + succeededCount >= probes) throw new BreakerOpen(name, probeTimeoutMs)
    runningCount++
    try {
      const result = await withDeadline(work, { ms: probeTimeoutMs, late })
      settle('succeeded')
      return result
    } catch (error) {
      if (error instanceof BreakerTimeout || isFailure(error)) settle('failed')
      else settle(isAbort(error) ? 'cancelled' : 'succeeded')
      throw error
    }
  }

  /** A probe that its caller cancelled says nothing about the dependency: its place is free for another. */
  function settle(outcome: 'succeeded' | 'failed' | 'cancelled') {
    runningCount--
    if (ended) return
    if (outcome === 'failed') next.reopen()
    else if (outcome === 'succeeded' && ++succeededCount === probes) next.close()
  }
}

function opossumOptions({ name, windowMs, minimumCount, failureRatio, timeoutMs, isFailure }: Policy) {
  return {
    name,
    timeout: timeoutMs,
    volumeThreshold: minimumCount,
    // opossum trips above the percentage; "at least half" is what people mean by 50 %.
    errorThresholdPercentage: failureRatio * 100 - 1e-9,
    errorFilter: (error: unknown) => !isOpossumTimeout(error) && !isFailure(error),
    status: countingStatus({ rollingCountTimeout: windowMs, enableSnapshots: false, rollingPercentilesEnabled: false }),
    enableSnapshots: false,
  }
}

/**
 * opossum's Status keeps the latency of every call in the window, wanted or not: megabytes at the rate of a cache.
 * This one only counts.
 */
function countingStatus(options: CircuitBreaker.StatusOptions): CircuitBreaker.Status {
  const status = CircuitBreaker.newStatus(options)
  type Counter = 'fires' | 'successes' | 'failures'
  return Object.assign(status, {
    increment(counter: Counter) {
      const current = status.window[0]
      if (current) current[counter]++
    },
  })
}

function isOpossumTimeout(error: unknown): boolean {
  return error instanceof Error && CircuitBreaker.isOurError(error) && 'code' in error && error.code === 'ETIMEDOUT'
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
