/**
 * Calls of one tick become one command: as many handlers finish together, or a relay publishes a batch, the cost of a command
 * (building it, sending it, starting the script) is paid once. Nobody waits for it: the tick's end is now.
 */

interface Call<Item, Result> {
  item: Item
  resolve(result: Result): void
  reject(error: unknown): void
}

/** @param send answers each item in its place; when it rejects, every call of its batch does. */
export function coalesce<Item, Result>(
  maxCount: number,
  send: (items: Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  let calls: Call<Item, Result>[] = []

  return (item) =>
    new Promise((resolve, reject) => {
      calls.push({ item, resolve, reject })
      if (calls.length === 1) process.nextTick(flush)
      else if (calls.length === maxCount) flush()
    })

  function flush(): void {
    const batch = calls
    if (batch.length === 0) return // it was full before the tick ended
    calls = []
    send(batch.map(({ item }) => item)).then(
      (results) => {
        for (const [index, call] of batch.entries()) call.resolve(results[index] as Result)
      },
      (error) => {
        for (const call of batch) call.reject(error)
      },
    )
  }
}
