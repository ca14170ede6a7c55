/** Random numbers that can be drawn again: tests and tools print the seed of a run, and repeat the run with it. */

/** Uniform in [0, 1). The generator is mulberry32 (Tommy Ettinger): 32 bits of state, the same sequence on every machine. */
export type Random = () => number

/** @param seed any number; its lower 32 bits count */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A whole number from `min` to `max`, both included. */
export function integerOf(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1))
}

/** One of the items, all equally likely. Throws a RangeError for an empty list. */
export function oneOf<Item>(random: Random, items: readonly Item[]): Item {
  if (items.length === 0) throw new RangeError('oneOf needs an item to choose')
  return items[Math.floor(random() * items.length)] as Item
}
