/**
 * One deadline for many waits of one length: they end in the order in which they began, so a queue and one timer serve all of them,
 * where a timer for each (deadline.ts) would cost as much as a tenth of the GET it guards.
 */
import { startTimer } from './deadline.ts'

/** A class, so that all have one shape: a busy process keeps thousands in the queue. */
class Wait {
  readonly endsAtMs: number
  /** Undefined once it is over, so that the queue keeps no answer alive. */
  reject: ((error: Error) => void) | undefined

  constructor(endsAtMs: number, reject: (error: Error) => void) {
    this.endsAtMs = endsAtMs
    this.reject = reject
  }
}

/** Settles as the answer does, or rejects at the deadline. An answer that arrives later is dropped. */
export type Within = <T>(ask: () => Promise<T>) => Promise<T>

/** `late` makes the error of a wait that took longer than `ms`. While nothing is waited for there is no timer. */
export function createSharedDeadline(ms: number, late: () => Error): Within {
  let waits: Wait[] = []
  let waitingCount = 0
  let stop: (() => void) | undefined

  return function within<T>(ask: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const wait = new Wait(performance.now() + ms, reject)
      ask().then(
        (answer) => {
          end(wait)
          resolve(answer)
        },
        (error) => {
          end(wait)
          reject(error)
        },
      )
      waits.push(wait)
      waitingCount += 1
      stop ??= startTimer(ms, sweep)
    })
  }

  function end(wait: Wait) {
    if (!wait.reject) return
    wait.reject = undefined
    waitingCount -= 1
    if (waitingCount > 0) return
    stop?.()
    stop = undefined
    waits = []
  }

  function sweep() {
    const nowMs = performance.now()
    const first = waits.findIndex(({ reject, endsAtMs }) => reject && endsAtMs > nowMs)
    const over = waits.splice(0, first < 0 ? waits.length : first)
    const [next] = waits
    stop = next && startTimer(next.endsAtMs - nowMs, sweep)
    for (const wait of over) {
      wait.reject?.(late())
      if (wait.reject) waitingCount -= 1
      wait.reject = undefined
    }
  }
}
