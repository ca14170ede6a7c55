/** The results of an experiment as numbers that a page or a terminal can draw, each compared with the reference. */
import type { Experiment } from './experiments.ts'
import type { Bounds, Model } from './models.ts'
import type { Answer, Observation } from './schedule.ts'

const BIN_MS = 10

/** A decision that the algorithm cannot have made at that instant. */
export interface Deviation {
  /** On the time axis. */
  atMs: number
  wasAdmitted: boolean
}

export interface Outcome {
  /** When each admitted request was decided, or released by the queue, on the time axis. */
  admittedMs: number[]
  /** Admitted per 10 ms of the axis. */
  per10Ms: number[]
  /** Admitted up to the end of each 10 ms. */
  cumulative: number[]
  admittedCount: number
  /** The most that were admitted within less than a period, for certain. */
  mostPerPeriod: number
  expected: Expected
  deviations: Deviation[]
  /** Requests of which the model does not know: both decisions were possible within the bounds of their instant. */
  undecidedCount: number
  /** Every decision is one that the algorithm makes at that instant, by its definition. */
  hasComeOut: boolean
}

export interface Expected {
  /** How many the algorithm admits when each request is on time. */
  onTimeCount: number
  /** How many it admits at the instants of this run. Another number when the machine sent late. */
  hereCount: number
  /** As `mostPerPeriod`, on time. */
  onTimeMostPerPeriod: number
}

/** A reference, and whether it releases what it admits later. */
export interface Reference {
  model(): Model
  /** The queue: the interval between two releases. Undefined where an admitted request goes on at once. */
  releaseIntervalMs?: number
}

export interface OutcomeOptions {
  experiment: Experiment
  periodMs: number
  reference: Reference
  /** Where the time axis begins, by the server's clock. */
  startUs: number
  observations: readonly { at: Bounds; answer: Answer }[]
}

/** One contender's part of the observations. */
export function answersOf(observations: readonly Observation[], index: number) {
  return observations.flatMap(({ at, answers }) => {
    const answer = answers[index]
    return answer ? [{ at, answer }] : []
  })
}

export function outcomeOf({ experiment, periodMs, reference, startUs, observations }: OutcomeOptions): Outcome {
  const released = observations.filter(({ answer }) => answer.isAdmitted).map(releaseOf)
  const admittedMs = released.map(({ fromUs }) => toMs(fromUs - startUs))
  const per10Ms = binned(admittedMs, experiment.axis)
  const { deviations, undecidedCount } = compare(reference, observations)
  const expected = expectedOf(experiment, periodMs, reference)
  const hereCount = simulate(
    reference,
    observations.map(({ at }) => ({ fromUs: at.fromUs, toUs: at.fromUs })),
  ).length
  return {
    admittedMs,
    per10Ms,
    cumulative: runningSums(per10Ms),
    admittedCount: released.length,
    mostPerPeriod: mostWithin(released, periodMs),
    expected: { ...expected, hereCount },
    deviations: deviations.map(({ atUs, wasAdmitted }) => ({ atMs: toMs(atUs - startUs), wasAdmitted })),
    undecidedCount,
    hasComeOut: deviations.length === 0,
  }
}

/** The results when every request is on time. */
export function expectedOf({ offsetsMs }: Experiment, periodMs: number, reference: Reference) {
  const edgeUs = 1_000 * periodMs * 1_000 // any edge: only the distance to it counts
  const released = simulate(
    reference,
    offsetsMs.map((offsetMs) => exactly(edgeUs + offsetMs * 1_000)),
  )
  return { onTimeCount: released.length, onTimeMostPerPeriod: mostWithin(released, periodMs) }
}

function releaseOf({ at, answer: { delayMs } }: { at: Bounds; answer: Answer }): Bounds {
  return { fromUs: at.fromUs + delayMs * 1_000, toUs: at.toUs + delayMs * 1_000 }
}

function simulate({ model, releaseIntervalMs = 0 }: Reference, instants: readonly Bounds[]): Bounds[] {
  const reference = model()
  let nextUs = 0
  return instants.flatMap((at) => {
    const isAdmitted = reference.possible(at).admitted
    reference.observe(at, isAdmitted)
    if (!isAdmitted) return []
    const releasedUs = Math.max(nextUs, at.fromUs)
    nextUs = releasedUs + releaseIntervalMs * 1_000
    return [exactly(releasedUs)]
  })
}

function compare({ model, releaseIntervalMs = 0 }: Reference, observations: OutcomeOptions['observations']) {
  const reference = model()
  const deviations: { atUs: number; wasAdmitted: boolean }[] = []
  let undecidedCount = 0
  let next: Bounds = { fromUs: 0, toUs: 0 } // the queue's next free slot
  for (const { at, answer } of observations) {
    const possible = reference.possible(at)
    const isPossible = answer.isAdmitted ? possible.admitted && isDelayPossible(at, answer) : possible.refused
    if (!isPossible) deviations.push({ atUs: at.fromUs, wasAdmitted: answer.isAdmitted })
    if (possible.admitted && possible.refused) undecidedCount += 1
    reference.observe(at, answer.isAdmitted)
    if (answer.isAdmitted) next = slotAfter(at)
  }
  return { deviations, undecidedCount }

  function isDelayPossible({ fromUs, toUs }: Bounds, { delayMs }: Answer) {
    const leastUs = Math.max(0, next.fromUs - toUs)
    const mostUs = Math.max(0, next.toUs - fromUs)
    return delayMs * 1_000 >= leastUs && delayMs * 1_000 <= mostUs
  }
  function slotAfter({ fromUs, toUs }: Bounds): Bounds {
    const intervalUs = releaseIntervalMs * 1_000
    return { fromUs: Math.max(next.fromUs, fromUs) + intervalUs, toUs: Math.max(next.toUs, toUs) + intervalUs }
  }
}

/** In any interval shorter than the period. Only instants that are certainly so close count: no clock error makes the number larger. */
function mostWithin(released: readonly Bounds[], periodMs: number): number {
  let first = 0
  let most = 0
  for (const [index, { toUs }] of released.entries()) {
    while (toUs - (released[first]?.fromUs ?? toUs) >= periodMs * 1_000) first += 1
    most = Math.max(most, index - first + 1)
  }
  return most
}

function binned(instantsMs: readonly number[], { fromMs, toMs }: Experiment['axis']): number[] {
  const bins = Array.from({ length: Math.ceil((toMs - fromMs) / BIN_MS) }, () => 0)
  for (const instantMs of instantsMs) {
    const index = Math.min(bins.length - 1, Math.max(0, Math.floor(instantMs / BIN_MS))) // a late one: in the last bin
    bins[index] = (bins[index] ?? 0) + 1
  }
  return bins
}

function runningSums(counts: readonly number[]): number[] {
  let sum = 0
  return counts.map((count) => {
    sum += count
    return sum
  })
}

function exactly(atUs: number): Bounds {
  return { fromUs: atUs, toUs: atUs }
}

/** To 10 us: finer than any bounds. */
export function toMs(us: number): number {
  return Math.round(us / 10) / 100
}
