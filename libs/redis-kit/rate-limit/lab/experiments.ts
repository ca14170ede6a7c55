/**
 * The experiments of the lab: which requests are sent, and when. A fixed list, because a page may start them: no caller
 * chooses a count, a rate or a key. The instants are relative to an edge of the fixed window, and lie at least 5 ms away
 * from every instant at which one more or one less would be admitted.
 */
import type { Rate } from '../rate-limit.ts'

export type ExperimentName = 'edge' | 'double' | 'at-once'

export interface Experiment {
  name: ExperimentName
  /** What is sent, in one line. */
  title: string
  /** What the picture shows, in one sentence. */
  lesson: string
  /** When each request is sent, ms from an edge of the window. The same for each algorithm. */
  offsetsMs: readonly number[]
  /** Where the time axis begins and ends, ms from the edge. The queue releases after the last request. */
  axis: { fromMs: number; toMs: number }
}

/** All algorithms keep this limit. With the one that goes on at once, the queue takes as many as a burst. */
export const LAB_LIMIT: Rate = { count: 20, periodMs: 1_000 }
export const LAB_BURST = 20

export const EXPERIMENTS: readonly Experiment[] = [
  {
    name: 'edge',
    title: "200 requests in the 200 ms around a window's edge",
    lesson: 'The fixed window admits twice its limit: its count begins anew at the edge.',
    offsetsMs: evenly(200, { fromMs: -95, toMs: 95 }),
    axis: { fromMs: -100, toMs: 1_100 },
  },
  {
    name: 'double',
    title: '40 requests per second for 5 s, twice the rate',
    lesson: 'Buckets and queue add a burst to the rate. Fixed window and log admit in blocks.',
    // 25.075 ms apart: at 25 ms exactly, each request would meet the instant at which an older one no longer counts.
    offsetsMs: evenly(200, { fromMs: 5, toMs: 4_995 }),
    axis: { fromMs: 0, toMs: 6_000 },
  },
  {
    name: 'at-once',
    title: '60 requests at once',
    lesson: 'Each algorithm admits 20 and refuses 40; only the queue spreads them.',
    offsetsMs: evenly(60, { fromMs: 500, toMs: 500 }),
    axis: { fromMs: 450, toMs: 1_550 },
  },
]

/** Throws a TypeError for a name that is not in the list. */
export function experimentOf(name: string): Experiment {
  const found = EXPERIMENTS.find((experiment) => experiment.name === name)
  if (found) return found
  const names = EXPERIMENTS.map((experiment) => experiment.name).join(', ')
  throw new TypeError(`experiment must be one of ${names}, not "${name}"`)
}

function evenly(count: number, { fromMs, toMs }: { fromMs: number; toMs: number }): number[] {
  return Array.from({ length: count }, (_, index) => fromMs + ((toMs - fromMs) * index) / (count - 1))
}
