/** Ids of stream entries: `1763911234567-0`, the server's milliseconds and a running number, each of 64 bits. '' is before all. */

export function isOlder(a: string, b: string): boolean {
  if (a === '' || b === '') return a < b
  const [aMs, aNumber] = parse(a)
  const [bMs, bNumber] = parse(b)
  return aMs < bMs || (aMs === bMs && aNumber < bNumber)
}

export function millisecondsOf(id: string): number {
  return id === '' ? 0 : Number.parseInt(id, 10)
}

/** Exact up to 2^53, which is 285,000 years and more events per millisecond than there will be. */
function parse(id: string): [ms: number, number: number] {
  const dash = id.indexOf('-')
  return [Number(id.slice(0, dash)), Number(id.slice(dash + 1))]
}
