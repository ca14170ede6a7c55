/**
 * Sends the requests of an experiment at their instants of the server's clock, each to all algorithms in turn, and asks for
 * that clock before and after. A busy machine sends late; the recorded bounds say when a decision was really made.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Redis } from '../../connection/connection.ts'
import { pause } from '../../flow/pause.ts'
import { script } from '../../script.ts'
import type { Experiment } from './experiments.ts'
import type { Bounds } from './models.ts'

const readClock = script<[seconds: number, microseconds: number]>(new URL('./clock.lua', import.meta.url), {
  effect: 'read',
})

/** Between the choice of an edge and the first request: time to get ready on a busy machine. */
const LEAD_MS = 150
/** A timer may fire this much late; the rest of a wait is spent in turns of the event loop. */
const TIMER_SLACK_MS = 2
const CLOCK_SAMPLES = 5

export interface Answer {
  isAdmitted: boolean
  /** The queue: until the request may go on. 0 elsewhere. */
  delayMs: number
}

/** One limiter, with its id. */
export interface Contender<Name extends string = string> {
  name: Name
  ask(): Promise<Answer>
}

/** One request: when it was due, when it was decided, and what each contender answered. */
export interface Observation {
  dueUs: number
  at: Bounds
  answers: readonly Answer[]
}

export interface ScheduleOptions {
  contenders: readonly Contender[]
  experiment: Experiment
  periodMs: number
  /** A key in the slot of the contenders' keys: in a Cluster it leads to the node whose clock decides. */
  clockKey: string
  signal: AbortSignal
  onSent: (sentCount: number) => void
}

export interface Observed {
  /** The edge of the window that the instants are relative to, microseconds since 1970. */
  edgeUs: number
  observations: readonly Observation[]
}

/** Rejects with the signal's reason, or with what a contender rejects with; then no more is sent. */
export async function sendOnSchedule(redis: Redis, options: ScheduleOptions): Promise<Observed> {
  const { contenders, experiment, periodMs, clockKey, signal, onSent } = options
  const { offsetsMs } = experiment
  const readUs = () => serverClock(redis, clockKey)
  const offsetMs = await clockOffset(readUs)
  const edgeMs = edgeAfter(performance.now() + offsetMs + LEAD_MS - (offsetsMs[0] ?? 0), periodMs)
  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  const requests: Promise<Observation | undefined>[] = []
  for (const [index, requestOffsetMs] of offsetsMs.entries()) {
    await until(edgeMs - offsetMs + requestOffsetMs, stop)
    requests.push(send(requestOffsetMs).catch((error: unknown) => void failed.abort(error)))
    onSent(index + 1)
  }
  const observations = (await Promise.all(requests)).filter((observation) => observation !== undefined)
  stop.throwIfAborted()
  return { edgeUs: edgeMs * 1_000, observations }

  async function send(requestOffsetMs: number): Promise<Observation> {
    // One connection answers in order, so the two readings enclose every decision between them.
    const [fromUs, answers, toUs] = await Promise.all([
      readUs(),
      Promise.all(contenders.map((contender) => contender.ask())),
      readUs(),
    ])
    // One more on each side: an algorithm may count the last microsecond of a period, or not.
    return { dueUs: (edgeMs + requestOffsetMs) * 1_000, at: { fromUs: fromUs - 1, toUs: toUs + 1 }, answers }
  }
}

/** Puts every script into the server's cache: a script that it does not know is sent again, after its turn. */
export async function warmUp(redis: Redis, contenders: readonly Contender[], clockKey: string): Promise<void> {
  await serverClock(redis, clockKey)
  await Promise.all(contenders.map((contender) => contender.ask()))
}

async function serverClock(redis: Redis, key: string): Promise<number> {
  const [seconds, microseconds] = await readClock(redis, [key])
  return seconds * 1_000_000 + microseconds
}

/** The server's clock less `performance.now()`, ms, from the quickest of some readings. */
async function clockOffset(readUs: () => Promise<number>): Promise<number> {
  let best = { tookMs: Number.POSITIVE_INFINITY, offsetMs: 0 }
  for (let sample = 0; sample < CLOCK_SAMPLES; sample += 1) {
    const askedMs = performance.now()
    const serverMs = (await readUs()) / 1_000
    const tookMs = performance.now() - askedMs
    if (tookMs < best.tookMs) best = { tookMs, offsetMs: serverMs - askedMs - tookMs / 2 }
  }
  return best.offsetMs
}

function edgeAfter(serverMs: number, periodMs: number): number {
  return Math.ceil(serverMs / periodMs) * periodMs
}

/** Not early. Leaves the event loop free for answers. */
async function until(dueMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const leftMs = dueMs - performance.now()
    if (leftMs <= 0) return
    if (leftMs > TIMER_SLACK_MS) await pause(leftMs - TIMER_SLACK_MS, signal)
    else await nextTurn()
  }
}
