/**
 * The algorithms again, as references for the lab: written from their definitions and not from the scripts that they judge.
 *
 * The lab knows the instant of a decision only within bounds: the server's clock before and after it. So a model holds the
 * states that are possible, and says for each request whether it may be admitted and whether it may be refused. With bounds
 * that coincide exactly one of them is possible. A decision that is not possible is wrong however slow the machine was.
 */
import type { Rate } from '../rate-limit.ts'

/** Bounds of an instant, microseconds of the server's clock. Those of later requests are never earlier. */
export interface Bounds {
  fromUs: number
  toUs: number
}

export interface Possible {
  admitted: boolean
  refused: boolean
}

export interface Model {
  /** What may be decided about a request of cost 1 at some instant within the bounds. */
  possible(at: Bounds): Possible
  /** Goes on from what was decided, possible or not. */
  observe(at: Bounds, isAdmitted: boolean): void
}

/** A bucket of `burst` that fills at the rate: token bucket, GCRA, and the queue, whose waiting requests are the tokens taken. */
export function bucketModel({ count, periodMs }: Rate, burst: number): Model {
  const intervalUs = (periodMs * 1_000) / count
  const spareUs = intervalUs * (burst - 1) // with one unit or more, the bucket is full again within this time
  let full: Bounds = { fromUs: 0, toUs: 0 } // when it is full again

  return {
    possible: ({ fromUs, toUs }) => ({
      admitted: full.fromUs - toUs <= spareUs,
      refused: full.toUs - fromUs > spareUs,
    }),
    observe({ fromUs, toUs }, isAdmitted) {
      if (!isAdmitted) return
      full = {
        fromUs: Math.max(full.fromUs, fromUs) + intervalUs,
        toUs: Math.max(full.toUs, toUs) + intervalUs,
      }
    },
  }
}

/** The sliding log: fewer than `count` admissions in the period that ends now. */
export function logModel({ count, periodMs }: Rate): Model {
  const periodUs = periodMs * 1_000
  const admitted: Bounds[] = []
  const countIn = (isIn: (entry: Bounds) => boolean) => admitted.slice(-count).filter(isIn).length
  return {
    possible: ({ fromUs, toUs }) => ({
      admitted: countIn((entry) => entry.fromUs > toUs - periodUs) < count,
      refused: countIn((entry) => entry.toUs > fromUs - periodUs) >= count,
    }),
    observe(at, isAdmitted) {
      if (isAdmitted) admitted.push(at)
    },
  }
}

interface WindowState {
  window: number
  current: number
  previous: number
}

/** Units that count when the window ends in `leftUs`. */
type Estimate = (state: WindowState, leftUs: number, periodUs: number) => number

/** The fixed window: what was admitted since the edge. */
export function fixedWindowModel(rate: Rate): Model {
  return windowModel(rate, ({ current }) => current)
}

/** The sliding counter: the current window, and the share of the previous one that a sliding window still covers, rounded down. */
export function slidingCounterModel(rate: Rate): Model {
  const covered: Estimate = ({ previous }, leftUs, periodUs) => Math.floor((previous * leftUs) / periodUs)
  return windowModel(rate, (state, leftUs, periodUs) => state.current + covered(state, leftUs, periodUs))
}

/** Windows whose edges are multiples of the period since 1970. Within a window the estimate falls, so its ends decide. */
function windowModel({ count, periodMs }: Rate, estimate: Estimate): Model {
  const periodUs = periodMs * 1_000
  let states: WindowState[] = [{ window: 0, current: 0, previous: 0 }]

  function decide(state: WindowState, atUs: number) {
    const now = rolled(state, Math.floor(atUs / periodUs))
    const leftUs = periodUs - (atUs % periodUs)
    return { now, isAdmitted: estimate(now, leftUs, periodUs) <= count - 1 }
  }
  const decisions = (at: Bounds) => {
    const instants = decisiveInstants(at, periodUs)
    return states.flatMap((state) => instants.map((atUs) => decide(state, atUs)))
  }
  return {
    possible(at) {
      const all = decisions(at)
      return {
        admitted: all.some(({ isAdmitted }) => isAdmitted),
        refused: all.some(({ isAdmitted }) => !isAdmitted),
      }
    },
    observe(at, isAdmitted) {
      const all = decisions(at)
      const agreeing = all.filter((decision) => decision.isAdmitted === isAdmitted)
      const next = (agreeing.length > 0 ? agreeing : all).map(({ now }) =>
        isAdmitted ? { ...now, current: now.current + 1 } : now,
      )
      states = distinct(next)
    },
  }
}

function rolled(state: WindowState, window: number): WindowState {
  if (window <= state.window) return state
  return { window, current: 0, previous: window === state.window + 1 ? state.current : 0 }
}

/** The bounds, and both sides of each edge between them. */
function decisiveInstants({ fromUs, toUs }: Bounds, periodUs: number): number[] {
  const instants = [fromUs, toUs]
  for (let edgeUs = (Math.floor(fromUs / periodUs) + 1) * periodUs; edgeUs <= toUs; edgeUs += periodUs) {
    instants.push(edgeUs - 1, edgeUs)
  }
  return instants.filter((atUs) => atUs >= fromUs)
}

function distinct(states: readonly WindowState[]): WindowState[] {
  return [...new Map(states.map((state) => [JSON.stringify(state), state])).values()]
}
