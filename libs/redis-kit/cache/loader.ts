/**
 * The source behind the cache, asked by all within one limit, and every question counted. When the cache is cold or gone, every
 * request becomes a load: the database keeps its pace because only so many run at once, a bounded number waits, the rest is refused.
 */
import { createBulkhead } from '../flow/bulkhead.ts'
import { withDeadline } from '../flow/deadline.ts'
import type { OnEvent } from './events.ts'

/** Too many loads run and wait already. Nothing was asked of the source. */
export class LoaderOverloaded extends Error {
  readonly code = 'CACHE_LOADER_OVERLOADED'
  override readonly name = 'LoaderOverloaded'
}

/** The load, with its wait for a place, took longer than it may. Its signal is aborted. */
export class LoadTimeout extends Error {
  readonly code = 'CACHE_LOAD_TIMEOUT'
  override readonly name = 'LoadTimeout'
}

export interface LoaderOptions {
  /** Loads that run at once. */
  concurrencyCount: number
  /** Loads that may wait for a place. */
  queueCount: number
  /** The longest a load may take, with its wait for a place. */
  timeoutMs: number
  onEvent: OnEvent
}

export function createLoader({ concurrencyCount, queueCount, timeoutMs, onEvent }: LoaderOptions) {
  const { run, stats } = createBulkhead({
    maxRunningCount: concurrencyCount,
    maxQueuedCount: queueCount,
    refusal: ({ runningCount, queuedCount }) =>
      new LoaderOverloaded(`${runningCount} loads are running and ${queuedCount} are queued`),
  })
  const late = () => new LoadTimeout(`not loaded within ${timeoutMs} ms`)

  /**
   * Throws what the load throws, LoaderOverloaded and LoadTimeout. A load that ignores its signal keeps its place until it has ended.
   */
  async function ask<T>(load: (signal: AbortSignal) => Promise<T>): Promise<T> {
    let startedAtMs: number | undefined
    const timed = (signal: AbortSignal) => {
      startedAtMs = performance.now()
      return load(signal)
    }
    const durationMs = () => startedAtMs && performance.now() - startedAtMs
    try {
      const inTurn = (signal: AbortSignal) => run(() => timed(signal), signal)
      const answer = await withDeadline(inTurn, { ms: timeoutMs, late })
      onEvent?.('load', { durationMs: durationMs() })
      return answer
    } catch (error) {
      onEvent?.(startedAtMs === undefined ? 'load-refused' : 'load-failed', { durationMs: durationMs(), error })
      throw error
    }
  }

  return { ask, stats }
}
