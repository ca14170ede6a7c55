/** How much work runs at once; a bounded number waits for a place, in the order of arrival, and the rest is refused. */

export interface BulkheadOptions {
  /** Work that runs at once. */
  maxRunningCount: number
  /** Work that waits for a place. */
  maxQueuedCount: number
  /** What more work is refused with. */
  refusal: (counts: BulkheadCounts) => Error
}

export interface BulkheadCounts {
  runningCount: number
  queuedCount: number
}

export function createBulkhead({ maxRunningCount, maxQueuedCount, refusal }: BulkheadOptions) {
  const queue = new Set<() => void>()
  let runningCount = 0
  return { run, stats }

  /**
   * Settles as the work does, which begins at once when there is a place. Rejects with the refusal when there is no room to wait, and
   * with the signal's reason when it aborts during the wait. Work that ignores the signal keeps its place until it has ended.
   */
  async function run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    if (runningCount < maxRunningCount) runningCount += 1
    else if (queue.size >= maxQueuedCount) throw refusal(stats())
    else await place(signal)
    try {
      signal?.throwIfAborted() // it may have aborted after the place was given
      return await work()
    } finally {
      handOn()
    }
  }

  function handOn(): void {
    const [next] = queue
    if (!next) runningCount -= 1
    else if (queue.delete(next)) next()
  }

  /** Resolves with the place of work that has ended. */
  function place(signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => {
      queue.delete(resolve)
      reject(signal?.reason)
    }
    queue.add(resolve)
    signal?.addEventListener('abort', onAbort)
    return promise.finally(() => signal?.removeEventListener('abort', onAbort))
  }

  function stats(): BulkheadCounts {
    return { runningCount, queuedCount: queue.size }
  }
}
