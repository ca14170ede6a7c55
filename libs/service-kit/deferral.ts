/**
 * Start-up is short because what only a request needs is made when the first request needs it, or as soon as the process has
 * started, whichever comes first: compiled schemas, the token verifier. Nothing is made twice.
 */

export interface Deferrals {
  /** A function that makes the thing on its first call and gives the same thing ever after. */
  defer<T>(make: () => T): () => T
  /** Makes all that was deferred, one at a time, with requests in between. Rejects with the first failure. */
  makeAll(): Promise<void>
}

export function createDeferrals(): Deferrals {
  const pending = new Set<() => unknown>()

  return { defer, makeAll }

  function defer<T>(make: () => T): () => T {
    let made: { value: T } | undefined
    const get = () => {
      if (made === undefined) {
        pending.delete(get)
        made = { value: make() }
      }
      return made.value
    }
    pending.add(get)
    return get
  }

  async function makeAll() {
    for (const get of pending) {
      await new Promise((resolve) => setImmediate(resolve))
      get()
    }
  }
}
