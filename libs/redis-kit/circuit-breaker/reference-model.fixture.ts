/**
 * The breaker as a table of rules, with no timers and no promises: the clock is an argument and the state is data.
 * Tests compare the real one with it, call by call.
 */
import type { BreakerState } from './circuit-breaker.ts'

export interface ModelPolicy {
  windowMs: number
  minimumCount: number
  failureRatio: number
  openMs: number
  probes: number
  /** Of calls and of probes. */
  timeoutMs: number
}

export type Outcome = 'succeeded' | 'failed' | 'harmless' | 'cancelled'

interface Call {
  id: number
  /** The phase it began in: the outcome counts for no other. */
  phase: number
  isProbe: boolean
  deadlineMs: number
}

const BUCKET_COUNT = 10

export function createReferenceModel(policy: ModelPolicy, startMs: number) {
  const calls = new Map<number, Call>()
  const timedOut: number[] = []
  let state: BreakerState = 'closed'
  let nowMs = startMs
  let phase = 0
  let phaseStartMs = startMs
  let samples: { bucket: number; isFailure: boolean }[] = []
  let succeededCount = 0
  return { state: () => state, start, finish, advance }

  /** Is this call let through? */
  function start(id: number): boolean {
    if (state === 'open') return false
    const isProbe = state === 'half-open'
    if (isProbe && runningProbeCount() + succeededCount >= policy.probes) return false
    if (!isProbe) samples.push({ bucket: bucketNow(), isFailure: false })
    calls.set(id, { id, phase, isProbe, deadlineMs: nowMs + policy.timeoutMs })
    return true
  }

  function finish(id: number, outcome: Outcome) {
    const call = calls.get(id)
    calls.delete(id)
    if (call?.phase !== phase) return
    if (call.isProbe) judgeProbe(outcome)
    else if (outcome === 'failed') countFailure()
  }

  /** Lets time pass. The ids of the calls that timed out meanwhile. */
  function advance(toMs: number): number[] {
    for (;;) {
      const next = [...calls.values()].sort((a, b) => a.deadlineMs - b.deadlineMs || a.id - b.id)[0]
      const opensAtMs = state === 'open' ? phaseStartMs + policy.openMs : Number.POSITIVE_INFINITY
      const atMs = Math.min(next?.deadlineMs ?? Number.POSITIVE_INFINITY, opensAtMs)
      if (atMs > toMs) break
      nowMs = atMs
      if (atMs === opensAtMs) become('half-open')
      else if (next) {
        timedOut.push(next.id)
        finish(next.id, 'failed')
      }
    }
    nowMs = toMs
    return timedOut.splice(0)
  }

  function countFailure() {
    samples.push({ bucket: bucketNow(), isFailure: true })
    const live = samples.filter(({ bucket }) => bucket > bucketNow() - BUCKET_COUNT)
    const failureCount = live.filter(({ isFailure }) => isFailure).length
    const callCount = live.length - failureCount
    if (callCount >= policy.minimumCount && failureCount / callCount >= policy.failureRatio) become('open')
  }

  function judgeProbe(outcome: Outcome) {
    if (outcome === 'failed') become('open')
    else if (outcome !== 'cancelled' && ++succeededCount === policy.probes) become('closed')
  }

  function become(next: BreakerState) {
    state = next
    phase++
    phaseStartMs = nowMs
    samples = []
    succeededCount = 0
  }

  function bucketNow() {
    return Math.floor((nowMs - phaseStartMs) / (policy.windowMs / BUCKET_COUNT))
  }

  function runningProbeCount() {
    return [...calls.values()].filter((call) => call.isProbe && call.phase === phase).length
  }
}
