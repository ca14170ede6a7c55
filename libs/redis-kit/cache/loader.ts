/** The source behind the cache: asked within the limits of the bulkhead, whoever asks and why, and every question counted. */
import { type BulkheadOptions, createBulkhead } from './bulkhead.ts'
import type { OnEvent } from './events.ts'

export interface LoaderOptions extends BulkheadOptions {
  /** The longest a load may take, with its wait for a place. */
  timeoutMs: number
  onEvent: OnEvent
}

export function createLoader({ timeoutMs, onEvent, ...limits }: LoaderOptions) {
  const { run, stats } = createBulkhead(limits)

  /** Throws what the load throws, LoaderOverloaded and LoadTimeout. */
  async function ask<T>(load: (signal: AbortSignal) => Promise<T>): Promise<T> {
    let startedAtMs: number | undefined
    const timed = (signal: AbortSignal) => {
      startedAtMs = performance.now()
      return load(signal)
    }
    const durationMs = () => startedAtMs && performance.now() - startedAtMs
    try {
      const answer = await run(timed, timeoutMs)
      onEvent?.('load', { durationMs: durationMs() })
      return answer
    } catch (error) {
      onEvent?.(startedAtMs === undefined ? 'load-refused' : 'load-failed', { durationMs: durationMs(), error })
      throw error
    }
  }

  return { ask, stats }
}
