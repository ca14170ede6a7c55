/**
 * What a balancer remembers of one instance: how fast it answers, what it is busy with, whether it is trusted.
 *
 * Peak EWMA (Finagle): a slow answer counts at once and in full, fast answers only win back trust over `decayMs`. What is not
 * heard of fades, so that an instance which was slow once is asked again some time.
 */
import { doubledMs } from '../flow/backoff.ts'
import type { Instance } from './instance.ts'

/** How a call ended, as far as the instance is to blame. */
export type Outcome =
  /** It answered, be it 404 or 500. */
  | 'ok'
  /** It did not do its job: 502, 503, 504, a time-out, an answer cut off. */
  | 'failed'
  /** Nobody there: refused, or reset before any answer. */
  | 'unreachable'
  /** The caller gave up; says nothing, except that it took this long. */
  | 'cancelled'

export interface EndpointOptions {
  /** Failures in a row until it is ejected. @default 5 */
  maxFailures: number
  /** First ejection; doubles with each that follows before it has proven itself. @default 1_000 */
  ejectionMs: number
  /** @default 60_000 */
  maxEjectionMs: number
  /** How long a newcomer's share of traffic takes to grow from a tenth to the whole. 0: none of this. @default 10_000 */
  slowStartMs: number
  /** Time constant in which old latencies fade. @default 10_000 */
  decayMs: number
  /** A call whose end nobody reported no longer counts as in flight after this; Infinity for calls that may last. @default 300_000 */
  maxCallMs: number
}

export interface Call {
  startedAtMs: number
  /** When the head of the answer came: what follows is size, not speed. */
  respondedAtMs: number | undefined
}

export interface Endpoint {
  readonly instance: Instance
  /** In the order they started. A set, so that ending a call twice, or after it was given up, does nothing. */
  calls: Set<Call>
  latencyMs: number
  observedAtMs: number
  failureCount: number
  ejectionCount: number
  ejectedUntilMs: number
  /** Slow start counts from here. */
  newSinceMs: number
}

const LEAST_LATENCY_MS = 0.05
const LEAST_SHARE = 0.1
/** A failure counts as an answer this many times slower than usual. */
const FAILURE_FACTOR = 5

type Beginning = Pick<Endpoint, 'latencyMs' | 'observedAtMs' | 'newSinceMs'>

export function createEndpoint(instance: Instance, beginning: Beginning): Endpoint {
  return {
    instance,
    calls: new Set(),
    ...beginning,
    failureCount: 0,
    ejectionCount: 0,
    ejectedUntilMs: Number.NEGATIVE_INFINITY,
  }
}

/** The expected cost of one more call: lower is better. */
export function score(endpoint: Endpoint, nowMs: number, { decayMs, maxCallMs }: EndpointOptions): number {
  forgetLostCalls(endpoint, nowMs - maxCallMs)
  return (latency(endpoint, nowMs, decayMs) * (endpoint.calls.size + 1)) / (endpoint.instance.weight ?? 1)
}

export function latency({ latencyMs, observedAtMs }: Endpoint, nowMs: number, decayMs: number): number {
  return Math.max(LEAST_LATENCY_MS, latencyMs * Math.exp((observedAtMs - nowMs) / decayMs))
}

/** The share of its normal traffic that it gets now: 0.1 for a newcomer, growing to 1. */
export function share({ newSinceMs }: Endpoint, nowMs: number, { slowStartMs }: EndpointOptions): number {
  const ageMs = nowMs - newSinceMs
  return ageMs >= slowStartMs ? 1 : Math.max(LEAST_SHARE, ageMs / slowStartMs)
}

/** Takes the call's outcome into account. True: it should be ejected, if there are enough others. */
export function settle(
  endpoint: Endpoint,
  { call, outcome, nowMs }: { call: Call; outcome: Outcome; nowMs: number },
  { decayMs, maxFailures, slowStartMs }: EndpointOptions,
): boolean {
  const tookMs = (call.respondedAtMs ?? nowMs) - call.startedAtMs
  const usualMs = latency(endpoint, nowMs, decayMs)
  if (outcome === 'cancelled') {
    if (tookMs > usualMs) observe(endpoint, tookMs, { nowMs, decayMs })
    return false
  }
  if (outcome === 'ok') {
    observe(endpoint, tookMs, { nowMs, decayMs })
    endpoint.failureCount = 0
    if (nowMs - endpoint.newSinceMs >= slowStartMs) endpoint.ejectionCount = 0
    return false
  }
  observe(endpoint, Math.max(tookMs, usualMs * FAILURE_FACTOR), { nowMs, decayMs })
  endpoint.failureCount++
  // Back from an ejection and not yet trusted: one failure is enough.
  return outcome === 'unreachable' || endpoint.ejectionCount > 0 || endpoint.failureCount >= maxFailures
}

export function eject(endpoint: Endpoint, nowMs: number, { ejectionMs, maxEjectionMs }: EndpointOptions) {
  endpoint.ejectionCount++
  endpoint.ejectedUntilMs = nowMs + doubledMs(endpoint.ejectionCount, { baseMs: ejectionMs, capMs: maxEjectionMs })
  endpoint.failureCount = 0
}

function observe(endpoint: Endpoint, tookMs: number, { nowMs, decayMs }: { nowMs: number; decayMs: number }) {
  const keep = Math.exp((endpoint.observedAtMs - nowMs) / decayMs)
  const faded = endpoint.latencyMs * keep
  endpoint.latencyMs = tookMs >= faded ? tookMs : faded + tookMs * (1 - keep)
  endpoint.observedAtMs = nowMs
}

function forgetLostCalls({ calls }: Endpoint, startedBeforeMs: number) {
  for (const call of calls) {
    if (call.startedAtMs >= startedBeforeMs) return
    calls.delete(call)
  }
}
