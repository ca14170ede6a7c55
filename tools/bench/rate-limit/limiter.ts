/** The interface of every contender of this suite: a limiter takes one unit for an id, or denies it. */
import type { Contender, Running } from '../harness/suite.ts'

export interface Servers {
  redisUrl: string
}

/** `count` at once, and `count` per `periodMs` in the long run. */
export interface Limit {
  count: number
  periodMs: number
}

export interface Opening extends Servers {
  limit: Limit
  /** Part of each key, so that no two limiters of a run share a bucket. */
  space: string
}

export interface Limiter {
  /** True when it was admitted. */
  take(id: string): Promise<boolean>
  close(): Promise<unknown>
}

export interface Limiting extends Pick<Contender<Servers>, 'id' | 'label' | 'role'> {
  open(opening: Opening): Promise<Limiter>
}

/** The contenders of a table that measures them in its own way. */
export function contendersOf(
  limitings: readonly Limiting[],
  start: (limiting: Limiting, servers: Servers) => Promise<Running>,
): Contender<Servers>[] {
  return limitings.map((limiting) => ({ ...limiting, start: (servers) => start(limiting, servers) }))
}

export const ids: readonly string[] = Array.from({ length: 10_000 }, (_, index) => `user-${10_000 + index}`)

/**
 * Uses the id up. Throws unless the limiter limits, because a contender that admits everything would be the fastest: units up to
 * the limit are admitted, and a denial follows soon. It need not be the next unit, for time gives back some of them meanwhile.
 */
export async function useUp({ take }: Limiter, { count }: Limit, id: string): Promise<void> {
  for (let unit = 1; unit <= count; unit++) {
    if (!(await take(id))) throw new Error(`unit ${unit} of a limit of ${count} was denied`)
  }
  for (let unit = count + 1; unit <= 2 * count; unit++) if (!(await take(id))) return
  throw new Error(`a limit of ${count} admitted ${2 * count} units`)
}
