/** A charge: the units that a decision took, with what is needed to give them back. */
import { randomBytes } from 'node:crypto'

export interface Charge {
  cost: number
  /** Unique: a charge can be given back once. */
  id: string
  /** Until then, by the clock that decided, the charge can be given back; later, time may have done so. */
  stampUs: number
}

const processId = randomBytes(6).toString('base64url')
let chargeCount = 0

/** Unique over all processes. */
export function newChargeId(): string {
  chargeCount += 1
  return `${processId}-${chargeCount.toString(36)}`
}

export function requireCost(cost: number) {
  if (!Number.isSafeInteger(cost) || cost < 1) throw new RangeError(`cost must be an integer >= 1, not ${cost}`)
}

/** A charge comes from another process too: its number would be written into the bucket. */
export function requireCharge({ cost, stampUs }: Charge) {
  requireCost(cost)
  if (!Number.isSafeInteger(stampUs)) throw new RangeError(`stampUs must be an integer, not ${stampUs}`)
}
