/**
 * One deadline for many waits: they end in the order in which they began, so a queue and one timer serve all of them, where a
 * timer for each (flow/deadline.ts) would cost as much as a tenth of the GET it guards.
 */
import { OutcomeUnknown } from '../errors.ts'

interface Wait {
  endsAtMs: number
  /** Undefined once it is over, so that the queue keeps no answer alive. */
  reject: ((error: Error) => void) | undefined
}

export type Within = <T>(nowMs: number, ask: () => Promise<T>) => Promise<T>

/** The answer, or OutcomeUnknown after `deadlineMs` and at most a quarter of it more. What arrives later is dropped. */
export function createDeadline(deadlineMs: number): Within {
  const sweepMs = Math.max(1, deadlineMs / 4)
  let waits: Wait[] = []
  let isArmed = false

  function within<T>(nowMs: number, ask: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const wait: Wait = { endsAtMs: nowMs + deadlineMs, reject }
      ask().then(
        (answer) => {
          wait.reject = undefined
          resolve(answer)
        },
        (error) => {
          wait.reject = undefined
          reject(error)
        },
      )
      waits.push(wait)
      if (!isArmed) arm()
    })
  }

  function arm() {
    isArmed = true
    // Timers run before sockets are read: after a pause of this process the answers may be here already, so read first.
    setTimeout(() => setImmediate(sweep), sweepMs)
  }

  function sweep() {
    const nowMs = performance.now()
    waits = waits.filter((wait) => {
      if (!wait.reject) return false
      if (wait.endsAtMs > nowMs) return true
      wait.reject(new OutcomeUnknown(`the cache got no answer within ${deadlineMs} ms`))
      return false
    })
    isArmed = false
    if (waits.length > 0) arm()
  }

  return within
}
