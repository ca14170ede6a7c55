/**
 * The slots of a leaky bucket as a queue, as a pure function whose whole state is one number: when the next slot is free. Slots are at
 * least an interval apart; a call of cost c takes the slot and the c - 1 after it.
 *
 * The same arithmetic as reserve.lua, which decides for all processes; this one decides when Redis does not answer.
 */
import { type Rate, spacingOf } from '../gcra.ts'

export interface QueueShape {
  intervalUs: number
  /** The longest wait: `capacity` intervals. */
  longestUs: number
  /** The furthest that the next slot can be: behind a full queue and the dearest call. */
  furthestUs: number
}

/** What a reservation found. Waits count from now. */
export interface Slot {
  isReserved: boolean
  /** Until the slot, or when refused, until the next one. */
  waitUs: number
  /** Until the slot after it. */
  freeInUs: number
  /** When the slot after it is free: the state to remember. */
  freeAtUs: number
}

/** Throws a RangeError, naming the field, for a rate that cannot be kept. */
export function shapeOf(limit: Rate, capacity: number): QueueShape {
  const { intervalUs } = spacingOf({ ...limit, burst: 1 })
  return { intervalUs, longestUs: capacity * intervalUs, furthestUs: (capacity + limit.count) * intervalUs }
}

/** `nextUs` is 0 for an id never seen. */
export function reserveSlot(nextUs: number, nowUs: number, { cost, ...shape }: QueueShape & { cost: number }): Slot {
  const { intervalUs, longestUs, furthestUs } = shape
  const slotUs = Math.min(Math.max(nextUs, nowUs), nowUs + furthestUs)
  const isReserved = slotUs - nowUs <= longestUs
  const freeAtUs = isReserved ? slotUs + intervalUs * cost : slotUs
  return { isReserved, waitUs: slotUs - nowUs, freeInUs: freeAtUs - nowUs, freeAtUs }
}
