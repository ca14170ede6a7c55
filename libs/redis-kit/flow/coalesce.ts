/**
 * Calls of one tick become one: as many handlers finish together, or a relay publishes a batch, the cost of a command (building it,
 * sending it, starting the script) is paid once. The tick ends before the event loop turns; only `atOnce` makes calls wait for others.
 */

interface Call<Item, Result> {
  item: Item
  resolve(result: Result): void
  reject(error: unknown): void
}

export interface CoalesceOptions {
  /** Items of one batch at most. A full batch is sent at once. */
  maxCount: number
  /** Batches under way at most. While there are so many, calls gather: an end sends the next batch. @default no limit */
  atOnce?: number
}

/** @param send answers each item in its place; when it rejects, every call of its batch does. Must not throw at once. */
export function coalesce<Item, Result>(
  send: (items: Item[]) => Promise<readonly Result[]>,
  { maxCount, atOnce = Number.POSITIVE_INFINITY }: CoalesceOptions,
): (item: Item) => Promise<Result> {
  const calls: Call<Item, Result>[] = []
  let underWayCount = 0
  let isHeldBack = false

  return (item) =>
    new Promise((resolve, reject) => {
      calls.push({ item, resolve, reject })
      if (calls.length === 1) process.nextTick(flush)
      else if (calls.length === maxCount) flush()
    })

  function flush(): void {
    while (calls.length > 0 && underWayCount < atOnce) sendBatch(calls.splice(0, maxCount))
    isHeldBack = calls.length > 0
  }

  function sendBatch(batch: Call<Item, Result>[]): void {
    underWayCount += 1
    send(batch.map(({ item }) => item)).then(
      (results) => {
        for (const [index, call] of batch.entries()) call.resolve(results[index] as Result)
        end()
      },
      (error) => {
        for (const call of batch) call.reject(error)
        end()
      },
    )
  }

  function end(): void {
    underWayCount -= 1
    if (isHeldBack) flush() // otherwise the calls of this tick go at its end
  }
}
