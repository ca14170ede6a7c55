/**
 * An answer in time, or none: what comes later is dropped. The timer is gone as soon as the work has settled.
 *
 * After a pause of this process (a long computation, a collection of garbage) Node runs timers before it reads sockets, where the
 * answer may be waiting. A deadline that ends late by such a pause lets Node read first: the other side is not to blame for it.
 */

/** Settles as the work does; after `ms` as `late` does, which returns another answer or throws. The work itself goes on. */
export function within<T>(work: Promise<T>, ms: number, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = startTimer(ms, () => Promise.try(late).then(resolve, reject))
    work.then(resolve, reject).then(stop)
  })
}

export interface DeadlineOptions {
  ms: number
  /** What the caller gets after `ms`, and the reason of the work's signal. */
  late: () => Error
  /** Ends the wait and the work earlier, with its reason. */
  signal?: AbortSignal
}

/** The same for work that can be ended: its signal is aborted. Work that ignores the signal is left behind. */
export async function withDeadline<T>(work: (signal: AbortSignal) => Promise<T>, options: DeadlineOptions): Promise<T> {
  const { ms, late, signal } = options
  signal?.throwIfAborted()
  const controller = new AbortController()
  const ended = Promise.withResolvers<never>()
  ended.promise.catch(() => {}) // work that throws at once leaves no one to race with it
  const onAbort = () => end(signal?.reason)
  const stop = startTimer(ms, () => end(late()))
  signal?.addEventListener('abort', onAbort)
  try {
    return await Promise.race([work(controller.signal), ended.promise])
  } finally {
    stop()
    signal?.removeEventListener('abort', onAbort)
  }

  function end(reason: unknown) {
    ended.reject(reason) // first, or the caller might get the work's own error about its signal
    controller.abort(reason)
  }
}

/** For a deadline without a promise to race with. Calls `onLate` once, unless it is stopped before: it returns how. */
export function startTimer(ms: number, onLate: () => void): () => void {
  const dueMs = performance.now() + ms
  let look: NodeJS.Immediate | undefined
  const timer = setTimeout(() => {
    if (performance.now() < dueMs + 1) onLate()
    else look = setImmediate(onLate) // held up: Node reads the sockets first
  }, ms)
  return () => {
    clearTimeout(timer)
    clearImmediate(look)
  }
}
