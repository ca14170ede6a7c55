/**
 * The usual way to measure an operation: so many callers, each of which asks again as soon as it has its answer. Gives
 * operations per second, this process's CPU time for each, and how long one took (an HDR histogram, three digits).
 */
import { createHistogram } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Plan, Sample } from './suite.ts'

export interface ClosedLoopOptions {
  /** @default 64 */
  callerCount?: number
  /**
   * Only every so manieth operation is timed, for those that cost less than looking at the clock; after it the event loop
   * turns once, because operations that wait for nothing would otherwise never let it. @default 1, and no turn
   */
  sampleEvery?: number
}

/** `operate` does one operation on something of its own choice. What it throws ends the measurement. */
export async function closedLoop(
  operate: () => Promise<unknown>,
  { durationMs }: Plan,
  { callerCount = 64, sampleEvery = 1 }: ClosedLoopOptions = {},
): Promise<Sample> {
  const latencies = createHistogram({ lowest: 1, highest: 60_000_000_000, figures: 3 })
  const cpuBefore = process.cpuUsage()
  const startedMs = performance.now()
  const untilMs = startedMs + durationMs
  let count = 0
  await Promise.all(Array.from({ length: callerCount }, caller))
  const tookMs = performance.now() - startedMs
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    perSecond: (count / tookMs) * 1000,
    cpuUs: (user + system) / count,
    p50Us: latencies.percentile(50) / 1000,
    p99Us: latencies.percentile(99) / 1000,
  }

  async function caller() {
    for (;;) {
      for (let untimed = 1; untimed < sampleEvery; untimed++) await operate()
      const askedMs = performance.now()
      await operate()
      const nowMs = performance.now()
      latencies.record(Math.max(1, Math.round((nowMs - askedMs) * 1e6)))
      count += sampleEvery
      if (nowMs >= untilMs) return
      if (sampleEvery > 1) await nextTurn()
    }
  }
}

/** One of them at random; all are equally likely. */
export function pickerOf<Item>(items: readonly Item[]): () => Item {
  return () => items[(Math.random() * items.length) | 0] as Item
}
