/**
 * The limiters beside each other: the same requests at the same instants for each algorithm, on the Redis of the caller, by the
 * server's clock. Returns data only. A command draws it (tools/rate-limit-lab.ts), and so may a page.
 *
 *     const keys = labKeys('lab')
 *     const burst = await runBursts(redis, { experiment: 'edge', keys, signal })
 *     burst.rows.map(({ algorithm, admittedCount }) => …)       // fixed-window 40, sliding-window-log 20, …
 *
 * Bounded, since a page may start it: a fixed list of experiments, 30 s, about 6,000 commands, keys of one run that are deleted
 * at its end and expire within seconds without that.
 */
import { randomBytes } from 'node:crypto'
import type { Redis } from '../../connection/connection.ts'
import { startTimer } from '../../flow/deadline.ts'
import type { Rate } from '../rate-limit.ts'
import { createContenders, type LabAlgorithm, type LabContender, type LabKeys, references } from './contenders.ts'
import { type Experiment, type ExperimentName, experimentOf, LAB_BURST, LAB_LIMIT } from './experiments.ts'
import { answersOf, type Outcome, outcomeOf, toMs } from './outcome.ts'
import { type Observed, sendOnSchedule, warmUp } from './schedule.ts'

export { labKeys } from './contenders.ts'
export { EXPERIMENTS, type ExperimentName } from './experiments.ts'

/** Everything together, waits for an edge included. */
const MAX_RUN_MS = 30_000
/** A machine that sends late gets another chance to be on time. A wrong decision gets none. */
const MAX_ATTEMPTS = 3
const MAX_UNDECIDED_SHARE = 0.05

export interface BurstOptions {
  experiment: ExperimentName
  keys: LabKeys
  /** Ends the run: it deletes its keys and rejects with the signal's reason. @default runs to its end */
  signal?: AbortSignal
  /** Called when a tenth of the requests more has been sent. @default not called */
  onProgress?: (progress: Progress) => void
}

export interface Progress {
  attempt: number
  sentCount: number
  requestCount: number
}

/** One experiment, as data: it can be written as JSON and drawn elsewhere. Times are ms from the start of the time axis. */
export interface Burst {
  experiment: ExperimentName
  title: string
  lesson: string
  limit: Rate
  burst: number
  /** The start of the time axis by the server's clock. */
  startedAt: string
  /** The length of the time axis. */
  axisMs: number
  /** The edges of the fixed window. */
  edgesMs: number[]
  /** When each request was decided. */
  sentMs: number[]
  /** How long after its instant the latest request was decided. */
  latestMs: number
  /** How long the server's clock leaves open when a request was decided, at most. */
  uncertainMs: number
  attempts: number
  /** Every algorithm admits as many at these instants as it does on time, and nearly all decisions are certain. */
  isOnTime: boolean
  /** Every decision of every algorithm is the right one. */
  hasComeOut: boolean
  rows: BurstRow[]
}

export interface BurstRow extends Outcome {
  algorithm: LabAlgorithm
}

/**
 * Runs one experiment, again when the machine was late. Rejects with the signal's reason, with an Error after 30 s, and with the
 * error of Redis when that does not answer. Two runs may go on at the same time; each then disturbs the instants of the other.
 */
export async function runBursts(
  redis: Redis,
  { experiment: name, keys, signal, onProgress }: BurstOptions,
): Promise<Burst> {
  const experiment = experimentOf(name)
  const contenders = createContenders(redis, keys, randomBytes(6).toString('hex'))
  const late = new AbortController()
  const stopTimer = startTimer(MAX_RUN_MS, () =>
    late.abort(new Error(`the experiment took longer than ${MAX_RUN_MS} ms`)),
  )
  const stop = signal ? AbortSignal.any([signal, late.signal]) : late.signal
  const startedMs = performance.now()
  const isOver = (attempt: number) => attempt === MAX_ATTEMPTS || performance.now() - startedMs > MAX_RUN_MS / 2
  try {
    for (let attempt = 1; ; attempt += 1) {
      const burst = await runOnce(redis, { experiment, contenders, signal: stop, onProgress, attempt })
      if (!burst.hasComeOut || burst.isOnTime || isOver(attempt)) return burst
    }
  } finally {
    stopTimer()
    await forget(redis, contenders).catch(() => {}) // Redis is away, which the run has said; the keys expire
  }
}

interface Attempt {
  experiment: Experiment
  contenders: readonly LabContender[]
  signal: AbortSignal
  onProgress?: ((progress: Progress) => void) | undefined
  attempt: number
}

/** One attempt. The keys of the contenders are empty at its start. */
export async function runOnce(
  redis: Redis,
  { experiment, contenders, signal, onProgress, attempt }: Attempt,
): Promise<Burst> {
  const requestCount = experiment.offsetsMs.length
  const [{ key: clockKey = '' } = {}] = contenders
  await warmUp(redis, contenders, clockKey)
  await forget(redis, contenders)
  const observed = await sendOnSchedule(redis, {
    contenders,
    experiment,
    periodMs: LAB_LIMIT.periodMs,
    clockKey,
    signal,
    onSent(sentCount) {
      if (sentCount % (requestCount / 10) === 0) onProgress?.({ attempt, sentCount, requestCount })
    },
  })
  return burstOf({ experiment, contenders, observed, attempt })
}

/** All keys of a run have one hash tag, so that one command may delete them. */
async function forget(redis: Redis, contenders: readonly LabContender[]): Promise<void> {
  await redis.del(...contenders.map(({ key }) => key))
}

interface Finished {
  experiment: Experiment
  contenders: readonly LabContender[]
  observed: Observed
  attempt: number
}

function burstOf({ experiment, contenders, observed: { edgeUs, observations }, attempt }: Finished): Burst {
  const { periodMs } = LAB_LIMIT
  const { name, title, lesson, axis } = experiment
  const startUs = edgeUs + axis.fromMs * 1_000
  const rows = contenders.map(({ name: algorithm }, index): BurstRow => {
    const reference = references[algorithm]
    const own = answersOf(observations, index)
    return { algorithm, ...outcomeOf({ experiment, periodMs, reference, startUs, observations: own }) }
  })
  const isOnTime = ({ undecidedCount, admittedCount, expected: { hereCount, onTimeCount } }: BurstRow) =>
    undecidedCount <= observations.length * MAX_UNDECIDED_SHARE &&
    hereCount === onTimeCount &&
    admittedCount === onTimeCount
  return {
    experiment: name,
    title,
    lesson,
    limit: LAB_LIMIT,
    burst: LAB_BURST,
    startedAt: new Date(startUs / 1_000).toISOString(),
    axisMs: axis.toMs - axis.fromMs,
    edgesMs: edgesOn(axis, periodMs),
    sentMs: observations.map(({ at }) => toMs(at.fromUs - startUs)),
    latestMs: toMs(Math.max(...observations.map(({ at, dueUs }) => at.fromUs - dueUs))),
    uncertainMs: toMs(Math.max(...observations.map(({ at }) => at.toUs - at.fromUs))),
    attempts: attempt,
    isOnTime: rows.every(isOnTime),
    hasComeOut: rows.every((row) => row.hasComeOut),
    rows,
  }
}

function edgesOn({ fromMs, toMs }: Experiment['axis'], periodMs: number): number[] {
  const first = Math.ceil(fromMs / periodMs)
  const count = Math.floor(toMs / periodMs) - first + 1
  return Array.from({ length: count }, (_, index) => (first + index) * periodMs - fromMs)
}
