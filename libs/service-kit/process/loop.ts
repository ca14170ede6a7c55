/**
 * Background work that must go on: each loop runs until it is told to stop, and is started again, with growing random pauses, when it
 * fails. What fails is seen in /health/ready and in a metric (loop-health.ts), until a round works again.
 */
import { fullJitterMs } from '@shop/redis-kit/flow/backoff'
import { pause } from '@shop/redis-kit/flow/pause'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import { isDependencyOutage } from '../storage/outage.ts'
import type { Log } from '../telemetry/log.ts'
import type { Watch, WatchedLoop } from './loop-health.ts'

export interface Loop extends WatchedLoop {
  /**
   * Works until the signal is aborted, then finishes what it holds and returns. Says `pulse.ok()` after each round that worked: a
   * failure stands until then. Says `pulse.failed` of failures that it survives; what it throws is known anyway.
   */
  run(signal: AbortSignal, pulse: Pulse): Promise<void>
  /** Is it the service's main job? Then the service is unready while it fails, and not only degraded. @default false */
  required?: boolean
}

export interface LoopOptions {
  /** Upper bound of the first pause. @default 200 */
  baseMs?: number
  /** Upper bound of any pause. @default 10_000 */
  capMs?: number
  /** A loop that ran for this long starts anew with short pauses. @default 30_000 */
  healthyAfterMs?: number
  /** Shows which loops fail; see loop-health.ts. @default loops are not watched */
  watch?: Watch
}

const unseen: Watch = () => ({ ok: () => undefined, failed: () => undefined })

export function startLoops(loops: readonly Loop[], log: Log, options: LoopOptions = {}): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  const running = loops.map((loop) => keepRunning(loop, { signal, log: log.child({ loop: loop.name }) }, options))
  return {
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  }
}

async function keepRunning(
  loop: Loop,
  { signal, log }: { signal: AbortSignal; log: Log },
  { baseMs = 200, capMs = 10_000, healthyAfterMs = 30_000, watch = unseen }: LoopOptions,
) {
  const pulse = watch(loop)
  let failures = 0
  while (!signal.aborted) {
    const startedAtMs = performance.now()
    let error: unknown
    try {
      await loop.run(signal, pulse)
    } catch (caught) {
      error = caught
    }
    if (signal.aborted) {
      if (error !== undefined && !isAbort(error)) log.error({ err: error }, 'loop failed while stopping')
      return
    }
    if (performance.now() - startedAtMs >= healthyAfterMs) failures = 0
    failures += 1
    // With a floor, so that a loop which fails at once does not spin.
    const pauseMs = Math.round(Math.max(20, fullJitterMs(failures, { baseMs, capMs })))
    pulse.failed(error ?? endedByItself)
    const fields = { err: error, failures, pauseMs }
    // An outage ends by itself; anything else is for a person to look at.
    if (isDependencyOutage(error)) log.warn(fields, 'loop paused: a dependency is not available')
    else log.error(fields, error === undefined ? 'loop ended without a stop' : 'loop failed')
    await pause(pauseMs, signal)
  }
}

const endedByItself = Object.assign(new Error('the loop ended without a stop'), { code: 'LOOP_ENDED' })

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
