/**
 * The order in which slots are given back: only the last slot of a queue can be. Waits that abort together, as when a process stops, do so
 * in the order of their slots, and would return the last slot only.
 */

/** Waits for the end of this turn, and then for every slot of the turn that ends later. */
export function createLastFirst(): (endsUs: number) => Promise<void> {
  let waiting: { endsUs: number; proceed: () => void }[] = []
  return function lastFirst(endsUs) {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (waiting.push({ endsUs, proceed: resolve }) === 1) setImmediate(proceedAll)
    return promise
  }

  function proceedAll() {
    const slots = waiting.sort((one, other) => other.endsUs - one.endsUs)
    waiting = []
    for (const { proceed } of slots) proceed()
  }
}
