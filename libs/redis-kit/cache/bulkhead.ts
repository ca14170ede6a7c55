/**
 * How hard one process may press on the source behind the cache. When the cache is cold or gone, every request becomes a
 * load; the database keeps its pace because only so many run at once, a bounded number waits, and the rest hears "no".
 */

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

export interface BulkheadOptions {
  /** Loads that run at once. */
  concurrencyCount: number
  /** Loads that may wait for a place. */
  queueCount: number
}

export function createBulkhead({ concurrencyCount, queueCount }: BulkheadOptions) {
  const queue = new Set<() => void>()
  let runningCount = 0

  /**
   * Runs the work when there is a place. Throws LoaderOverloaded when there is not even room to wait, and LoadTimeout when
   * it has not ended `timeoutMs` from now; work that ignores its signal keeps its place until it really ends.
   */
  function run<T>(work: (signal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T> {
    if (runningCount >= concurrencyCount && queue.size >= queueCount) {
      return Promise.reject(new LoaderOverloaded(`${runningCount} loads run and ${queue.size} wait already`))
    }
    return new Promise((resolve, reject) => {
      const controller = new AbortController()
      const timer = setTimeout(() => {
        const error = new LoadTimeout(`not loaded within ${timeoutMs} ms`)
        queue.delete(start)
        controller.abort(error)
        reject(error)
      }, timeoutMs)
      if (runningCount < concurrencyCount) start()
      else queue.add(start)

      async function start() {
        runningCount++
        try {
          resolve(await work(controller.signal))
        } catch (error) {
          reject(error)
        }
        clearTimeout(timer)
        runningCount--
        next()
      }
    })
  }

  function next() {
    const [start] = queue
    if (!start) return
    queue.delete(start)
    start()
  }

  return { run, stats: () => ({ runningCount, queuedCount: queue.size }) }
}
