/**
 * A leaky bucket as a queue: calls are not refused but spaced. Each reserves the next slot of a schedule that all processes share, waits
 * for it and then works. For calls to what must not be asked too often: a partner's API, a mail provider, a slow database.
 */
import type { Redis } from '../../connection/connection.ts'
import { type KeyFamily, keyFamily } from '../../keys.ts'
import { checkNumbers, MAX_TIMER_MS } from '../../number-options.ts'
import { script } from '../../script.ts'
import { fixedVerdicts, inTime, requireOutage } from '../degraded.ts'
import type { Rate } from '../gcra.ts'
import { remember } from '../local-bucket.ts'
import type { Decision } from '../rate-limit.ts'
import { createLastFirst } from './last-first.ts'
import { type QueueShape, reserveSlot, type Slot, shapeOf } from './slots.ts'
import { waitUntil } from './wait.ts'

const DAY_MS = 24 * 60 * 60 * 1000

type Reply = [isReserved: 0 | 1, waitUs: number, freeInUs: number, freeAtUs: number]
const reserveScript = script<Reply>(new URL('./reserve.lua', import.meta.url))
const giveBackScript = script<0 | 1>(new URL('./give-back.lua', import.meta.url))

/** One string per id: `order:leaky-queue:payment:{<id>}`. It expires when the queue is empty. */
export function leakyQueueKeys(
  service: string,
  name: string,
  role: 'cache' | 'state',
  { maxBacklogMs = DAY_MS }: { maxBacklogMs?: number } = {},
): KeyFamily {
  return keyFamily({
    service,
    pattern: `${service}:leaky-queue:${name}:{<id>}`,
    type: 'string',
    role,
    ttl: { ms: maxBacklogMs },
    example: ['all'],
    doc: `when the next slot of the "${name}" queue of this id is free, microseconds`,
  })
}

export interface LeakyQueueOptions {
  keys: KeyFamily
  /** `{ count: 10, periodMs: 1_000 }` is one call every 100 ms, evenly: no burst after a pause. */
  limit: Rate
  /** How many units may wait: the longest wait is as many intervals. 0: a call has its slot at once, or is refused. */
  capacity: number
  /**
   * What to do when Redis does not answer: 'open' works at once, 'closed' refuses, 'local' spaces the calls of this process at its
   * share of the rate. Such a reservation says `degraded: true`.
   */
  onUnavailable: 'open' | 'closed' | 'local'
  /** The longest that a reservation may take, whatever Redis does. @default 50 */
  deadlineMs?: number
  /** How many processes share the rate, for 'local': usually the count that discovery knows. @default () => 1 */
  instances?: () => number
  /** The most ids remembered in this process, for 'local'. @default 10_000 */
  maxLocalIds?: number
  /** Gets the reason of each degraded reservation: for a log line or a counter. */
  onDegraded?: (error: unknown) => void
  /** Gets each reservation, those of `run` too, and how long it took to know it: for metrics. */
  onReserved?: (reservation: Reservation, durationMs: number) => void
}

/** `remaining` is how many more units would be taken now; `resetAfterMs` the time until nothing waits any more. */
export interface Reservation extends Omit<Decision, 'charge'> {
  /** How long to wait before the work, from now. Not rounded. */
  delayMs: number
}

export interface ReserveOptions {
  /** @default 1 */
  cost?: number
  /** Refused if the wait would be longer. @default the capacity of the queue */
  maxDelayMs?: number
}

export interface RunOptions extends ReserveOptions {
  /** Ends the wait: `run` then rejects with its reason. It does not end the work. */
  signal?: AbortSignal
}

/** `refused`: the queue is full. The same call, alone, has a place after `retryAfterMs`; -1 when its cost exceeds `limit.count`. */
export type Ran<Value> =
  | { status: 'done'; value: Value; delayMs: number }
  | { status: 'refused'; retryAfterMs: number; degraded: boolean }

export interface LeakyQueue {
  /** Takes the next slot. A slot that is not used stays empty, and does no other harm. */
  reserve(id: string, options?: ReserveOptions): Promise<Reservation>
  /** Waits for its slot, then works. Rejects as the work does. A slot whose wait was aborted is given back if it is the last one. */
  run<Value>(id: string, work: () => Promise<Value>, options?: RunOptions): Promise<Ran<Value>>
}

/** Throws a RangeError for a rate that cannot be kept. The verbs reject only for what is no outage: a bad cost, no permission. */
export function createLeakyQueue(redis: Redis, options: LeakyQueueOptions): LeakyQueue {
  const { keys, limit, capacity, onUnavailable, onDegraded, onReserved } = options
  const { deadlineMs = 50, instances = () => 1, maxLocalIds: maxIds = 10_000 } = options
  const owner = `leaky queue ${keys.pattern}`
  checkNumbers(owner, options, {
    capacity: { min: 0, isWhole: true },
    deadlineMs: { min: 1, max: MAX_TIMER_MS },
    maxLocalIds: { min: 1, isWhole: true },
  })
  const shape = requireFits(shapeOf(limit, capacity), keys)
  const local = createLocalQueue(shape, { instances, maxIds })
  const lastFirst = createLastFirst()
  return { reserve, run }

  async function reserve(id: string, reserveOptions?: ReserveOptions): Promise<Reservation> {
    return (await take(id, reserveOptions)).reservation
  }

  async function take(id: string, reserveOptions?: ReserveOptions): Promise<Taken> {
    const startedAtMs = performance.now()
    const taken = await ask(id, reserveOptions)
    onReserved?.(taken.reservation, performance.now() - startedAtMs)
    return taken
  }

  async function ask(id: string, { cost = 1, maxDelayMs }: ReserveOptions = {}): Promise<Taken> {
    checkNumbers(owner, { cost, maxDelayMs }, { cost: { min: 1, isWhole: true }, maxDelayMs: { min: 0 } })
    const common = { limitCount: limit.count, degraded: false }
    if (cost > limit.count) return { reservation: { ...neverFits, ...common } }
    const longestUs = Math.min(shape.longestUs, Math.floor((maxDelayMs ?? Number.POSITIVE_INFINITY) * 1000))
    const args = [shape.intervalUs, cost, longestUs, shape.furthestUs]
    try {
      const reserving = reserveScript(redis, [keys.key(id)], args)
      const [isReserved, waitUs, freeInUs, freeAtUs] = await inTime(reserving, deadlineMs)
      const slot = { isReserved: isReserved === 1, waitUs, freeInUs }
      const length = { lengthUs: shape.intervalUs * cost, endsUs: freeAtUs }
      return { reservation: { ...foundOf(slot, { ...shape, longestUs }), ...common }, slot: length }
    } catch (error) {
      requireOutage(error)
      onDegraded?.(error)
      return { reservation: { ...withoutRedis(id, cost, longestUs), ...common, degraded: true } }
    }
  }

  function withoutRedis(id: string, cost: number, longestUs: number): Found {
    if (onUnavailable === 'local') return local(id, cost, longestUs)
    return { ...fixedVerdicts[onUnavailable], delayMs: 0 }
  }

  /** False when a later slot is reserved, which does not move up. Once per slot: the next reservation of it has the same end. */
  async function giveBack(id: string, { lengthUs, endsUs }: TakenSlot): Promise<boolean> {
    await lastFirst(endsUs)
    try {
      return (await inTime(giveBackScript(redis, [keys.key(id)], [lengthUs, endsUs]), deadlineMs)) === 1
    } catch (error) {
      requireOutage(error)
      onDegraded?.(error)
      return false
    }
  }

  async function run<Value>(id: string, work: () => Promise<Value>, { signal, ...how }: RunOptions = {}) {
    signal?.throwIfAborted()
    const { reservation, slot } = await take(id, how)
    const { allowed, delayMs, retryAfterMs, degraded } = reservation
    if (!allowed) return { status: 'refused', retryAfterMs, degraded } as const
    await waitUntil(performance.now() + delayMs, signal)
    if (!signal?.aborted) return { status: 'done', value: await work(), delayMs } as const
    if (slot) await giveBack(id, slot)
    throw signal.reason
  }
}

/** What one reservation found, by whichever clock. */
type Found = Omit<Reservation, 'limitCount' | 'degraded'>

interface TakenSlot {
  lengthUs: number
  endsUs: number
}

interface Taken {
  reservation: Reservation
  /** In Redis. */
  slot?: TakenSlot
}

const neverFits: Found = { allowed: false, remaining: 0, retryAfterMs: -1, resetAfterMs: 0, delayMs: 0 }

function foundOf({ isReserved, waitUs, freeInUs }: Omit<Slot, 'freeAtUs'>, shape: QueueShape): Found {
  const { intervalUs, longestUs } = shape
  return {
    allowed: isReserved,
    remaining: Math.max(0, Math.floor((longestUs - freeInUs) / intervalUs) + 1),
    retryAfterMs: isReserved ? 0 : Math.ceil((waitUs - longestUs) / 1000),
    resetAfterMs: Math.ceil(freeInUs / 1000),
    delayMs: isReserved ? waitUs / 1000 : 0,
  }
}

/** The slots of this process alone: its share of the rate, and the same longest wait. */
function createLocalQueue(shape: QueueShape, { instances, maxIds }: { instances: () => number; maxIds: number }) {
  const next = new Map<string, number>()
  return function reserveLocally(id: string, cost: number, longestUs: number) {
    const share = Math.max(1, Math.floor(instances()))
    const own = { intervalUs: shape.intervalUs * share, longestUs, furthestUs: shape.furthestUs * share }
    const slot = reserveSlot(next.get(id) ?? 0, Math.round(performance.now() * 1000), { ...own, cost })
    remember(next, [id, slot.freeAtUs], maxIds)
    return foundOf(slot, own)
  }
}

/** A key lives until its queue is empty, which must not be longer than its family says. */
function requireFits(shape: QueueShape, keys: KeyFamily): QueueShape {
  const backlogMs = shape.furthestUs / 1000
  if ('ms' in keys.ttl && backlogMs > keys.ttl.ms) {
    throw new RangeError(`a full queue takes ${backlogMs} ms to empty, longer than ${keys.pattern} may live`)
  }
  return shape
}
