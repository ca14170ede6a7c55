/** How many places of each name are taken: for what holds its place for long, and is refused at once when there is none. */
export interface Slots {
  /** Takes a place. Returns how to give it back, which works once; undefined when all places of this name are taken. */
  take(name: string): (() => void) | undefined
  /** Taken now, over all names. */
  count(): number
}

/** @param maxCount places of each name; a function for a number that changes: who has a place keeps it */
export function createSlots(maxCount: number | (() => number)): Slots {
  const maxCountNow = typeof maxCount === 'number' ? () => maxCount : maxCount
  /** Without names whose count is 0. */
  const counts = new Map<string, number>()
  let totalCount = 0
  return { take, count: () => totalCount }

  function take(name: string): (() => void) | undefined {
    if ((counts.get(name) ?? 0) >= maxCountNow()) return undefined
    change(name, 1)
    let isTaken = true
    return () => {
      if (isTaken) change(name, -1)
      isTaken = false
    }
  }

  function change(name: string, by: 1 | -1): void {
    totalCount += by
    const count = (counts.get(name) ?? 0) + by
    if (count === 0) counts.delete(name)
    else counts.set(name, count)
  }
}
