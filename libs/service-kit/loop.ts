/** Background work that must go on: each loop runs until it is told to stop, and is started again, with growing random pauses, when it fails. */
import { setTimeout as elapse } from 'node:timers/promises'
import type { Log } from './log.ts'

export interface Loop {
  name: string
  /** Works until the signal is aborted, then finishes what it holds and returns. */
  run(signal: AbortSignal): Promise<void>
}

export interface LoopOptions {
  /** Upper bound of the first pause. @default 200 */
  baseMs?: number
  /** Upper bound of any pause. @default 10_000 */
  capMs?: number
  /** A loop that ran for this long starts anew with short pauses. @default 30_000 */
  healthyAfterMs?: number
}

export function startLoops(loops: readonly Loop[], log: Log, options: LoopOptions = {}): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const running = loops.map((loop) => keepRunning(loop, stopping.signal, log.child({ loop: loop.name }), options))
  return {
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  }
}

async function keepRunning(
  loop: Loop,
  signal: AbortSignal,
  log: Log,
  { baseMs = 200, capMs = 10_000, healthyAfterMs = 30_000 }: LoopOptions,
) {
  let failures = 0
  while (!signal.aborted) {
    const startedAtMs = performance.now()
    let error: unknown
    try {
      await loop.run(signal)
    } catch (caught) {
      error = caught
    }
    if (signal.aborted) {
      if (error !== undefined && !isAbort(error)) log.error({ err: error }, 'the loop failed while stopping')
      return
    }
    if (performance.now() - startedAtMs >= healthyAfterMs) failures = 0
    // Full jitter, with a floor so that a loop which fails at once does not spin.
    const pauseMs = Math.round(Math.max(20, Math.random() * Math.min(capMs, baseMs * 2 ** failures)))
    failures += 1
    log.error({ err: error, failures, pauseMs }, error === undefined ? 'the loop ended by itself' : 'the loop failed')
    await elapse(pauseMs, undefined, { signal }).catch(() => {})
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
