/**
 * Several producers in, one async iterator out, and nothing is fetched before somebody asks for it.
 *
 * A consumer that asks (`next`) makes room for one item. A producer reserves room first, then fetches, then gives: so an
 * item counts as delivered only when there is a hand that takes it, and a crash leaves nothing behind that was delivered to
 * a buffer. Consumers may ask several at a time, for several workers over one iterator.
 */

export interface HandOut<Item> {
  /** Resolves with the number of places reserved, 1 to max, once there is room; with 0 when closed. First come, first served. */
  reserve(max: number): Promise<number>
  /** Fills one reserved place. */
  give(item: Item): void
  /** Gives back reserved places that stay empty. */
  release(count: number): void
  next(): Promise<IteratorResult<Item, undefined>>
  /**
   * Those who ask from now on hear the end (or the error, once) when the producers have ended; reserved places are still
   * filled or released.
   */
  close(ended?: Promise<unknown>, error?: unknown): void
}

interface Reservation {
  max: number
  grant(count: number): void
}

export function createHandOut<Item>(): HandOut<Item> {
  const asking: PromiseWithResolvers<IteratorResult<Item, undefined>>[] = []
  const waiting: Reservation[] = []
  let isGrantDue = false
  let reservedCount = 0
  let isClosed = false
  let hasEnded: Promise<unknown> | undefined
  let failure: { error: unknown } | undefined

  return { reserve, give, release, next, close }

  function reserve(max: number): Promise<number> {
    if (isClosed || max <= 0) return Promise.resolve(0)
    return new Promise((grant) => {
      waiting.push({ max, grant })
      grantSoon()
    })
  }

  function give(item: Item): void {
    reservedCount -= 1
    // There is one: reserved places are never more than those who ask, and close leaves as many of them waiting.
    asking.shift()?.resolve({ value: item, done: false })
  }

  function release(count: number): void {
    reservedCount -= count
    if (isClosed) endSurplus()
    else grantSoon()
  }

  function next(): Promise<IteratorResult<Item, undefined>> {
    const request = Promise.withResolvers<IteratorResult<Item, undefined>>()
    asking.push(request)
    if (isClosed) endSurplus()
    else grantSoon()
    return request.promise
  }

  function close(ended?: Promise<unknown>, error?: unknown): void {
    if (isClosed) return
    isClosed = true
    hasEnded = ended
    if (error !== undefined) failure = { error }
    for (const { grant } of waiting.splice(0)) grant(0)
    endSurplus()
  }

  /** At the end of the tick: those who ask together are served by one fetch. */
  function grantSoon(): void {
    if (isGrantDue || waiting.length === 0 || asking.length <= reservedCount) return
    isGrantDue = true
    process.nextTick(grantRoom)
  }

  function grantRoom(): void {
    isGrantDue = false
    while (waiting.length > 0 && asking.length > reservedCount) {
      const { max, grant } = waiting.shift() as Reservation
      const count = Math.min(max, asking.length - reservedCount)
      reservedCount += count
      grant(count)
    }
  }

  function endSurplus(): void {
    while (asking.length > reservedCount) asking.pop()?.resolve(end())
  }

  async function end(): Promise<IteratorResult<Item, undefined>> {
    const failed = failure
    failure = undefined
    await hasEnded
    if (failed) throw failed.error
    return { value: undefined, done: true }
  }
}
