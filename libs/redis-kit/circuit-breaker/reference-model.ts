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
  timeoutMs: number
}

export type Outcome = 'succeeded' | 'failed' | 'harmless' | 'cancelled'

interface Call {
  id: number
  period: number
  probe: boolean
  deadlineMs: number
}

interface Sample {
  bucket: number
  what: 'fire' | 'failure'
}

export class ReferenceModel {
  state: BreakerState = 'closed'
  timedOut: number[] = []
  private policy: ModelPolicy
  private nowMs: number
  private sinceMs: number
  private period = 0
  private samples: Sample[] = []
  private succeededCount = 0
  private calls = new Map<number, Call>()

  constructor(policy: ModelPolicy, nowMs: number) {
    this.policy = policy
    this.nowMs = nowMs
    this.sinceMs = nowMs
  }

  /** Is this call let through? */
  start(id: number): boolean {
    if (this.state === 'open') return false
    const probe = this.state === 'half-open'
    if (probe && this.runningProbes() + this.succeededCount >= this.policy.probes) return false
    if (!probe) this.samples.push({ bucket: this.bucket(), what: 'fire' })
    this.calls.set(id, { id, period: this.period, probe, deadlineMs: this.nowMs + this.policy.timeoutMs })
    return true
  }

  finish(id: number, outcome: Outcome) {
    const call = this.calls.get(id)
    this.calls.delete(id)
    if (!call || call.period !== this.period) return
    if (call.probe) this.judgeProbe(outcome)
    else if (outcome === 'failed') this.countFailure()
  }

  advance(toMs: number) {
    for (;;) {
      const next = [...this.calls.values()].sort((a, b) => a.deadlineMs - b.deadlineMs || a.id - b.id)[0]
      const opensAtMs = this.state === 'open' ? this.sinceMs + this.policy.openMs : Number.POSITIVE_INFINITY
      const atMs = Math.min(next?.deadlineMs ?? Number.POSITIVE_INFINITY, opensAtMs)
      if (atMs > toMs) break
      this.nowMs = atMs
      if (atMs === opensAtMs) this.become('half-open')
      else if (next) {
        this.timedOut.push(next.id)
        this.finish(next.id, 'failed')
      }
    }
    this.nowMs = toMs
  }

  private countFailure() {
    this.samples.push({ bucket: this.bucket(), what: 'failure' })
    const live = this.samples.filter((sample) => sample.bucket > this.bucket() - 10)
    const fires = live.filter((sample) => sample.what === 'fire').length
    const failures = live.length - fires
    if (fires >= this.policy.minimumCount && failures / fires >= this.policy.failureRatio) this.become('open')
  }

  private judgeProbe(outcome: Outcome) {
    if (outcome === 'failed') this.become('open')
    else if (outcome !== 'cancelled' && ++this.succeededCount === this.policy.probes) this.become('closed')
  }

  private become(state: BreakerState) {
    this.state = state
    this.period++
    this.sinceMs = this.nowMs
    this.samples = []
    this.succeededCount = 0
  }

  private bucket() {
    return Math.floor((this.nowMs - this.sinceMs) / (this.policy.windowMs / 10))
  }

  private runningProbes() {
    return [...this.calls.values()].filter((call) => call.probe && call.period === this.period).length
  }
}
