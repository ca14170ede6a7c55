/**
 * Each algorithm as its definition says, without regard to cost: charges are kept one by one, and waits are found by trying. The Lua
 * scripts must say the same. Time is in whole microseconds, as a BigInt where it is multiplied.
 */
import type { Algorithm, Policy } from '../algorithms.ts'

export interface Verdict {
  allowed: boolean
  remaining: number
  retryAfterMs: number
  resetAfterMs: number
}

export interface Charged {
  id: number
  units: number
  /** The charge can be given back before this time. */
  endsUs: number
}

export interface Reference {
  /** Called first with the time of each decision: a clock that went back changes what was kept. */
  moveTo(nowUs: number): void
  /** How many units fit at `nowUs`, which is now or later, if nothing is charged until then. */
  spare(nowUs: number): number
  /** Takes as many of the units as there are. */
  take(nowUs: number, units: number, id: number): Charged
  /** False when time has given it back. Without `moveTo`: a clock that is behind is repaired by the next decision. */
  giveBack(nowUs: number, charge: Charged): boolean
  reset(): void
}

export function referenceOf(policy: Policy): Reference {
  return references[policy.algorithm](policy)
}

const references: Record<Algorithm, (policy: Policy) => Reference> = {
  gcra: (policy) => leaky(policy, Math.ceil((policy.periodMs * 1000) / policy.count)),
  'token-bucket': tokens,
  'fixed-window': fixedWindow,
  'sliding-window-counter': counter,
  'sliding-window-log': log,
}

/** The leaky bucket as a meter: `burst` units of `intervalUs` fit, and it leaks all the time. */
function leaky({ burst }: Policy, intervalUs: number): Reference {
  let emptyAtUs = 0
  const capacityUs = burst * intervalUs
  const levelUs = (nowUs: number) => Math.max(0, emptyAtUs - nowUs)
  return {
    moveTo(nowUs) {
      emptyAtUs = Math.min(emptyAtUs, nowUs + capacityUs)
    },
    spare: (nowUs) => Math.floor((capacityUs - levelUs(nowUs)) / intervalUs),
    take(nowUs, units, id) {
      emptyAtUs = nowUs + levelUs(nowUs) + units * intervalUs
      if (emptyAtUs > nowUs + capacityUs) emptyAtUs = nowUs + capacityUs
      return { id, units, endsUs: emptyAtUs }
    },
    giveBack(nowUs, { units, endsUs }) {
      const isAstray = Math.max(emptyAtUs, endsUs) > nowUs + capacityUs
      if (isAstray || levelUs(nowUs) === 0) return false
      emptyAtUs -= units * intervalUs
      if (emptyAtUs <= nowUs) emptyAtUs = 0
      return true
    },
    reset() {
      emptyAtUs = 0
    },
  }
}

/** Tokens in parts of 1/periodUs: `count` parts come back each microsecond. */
function tokens({ count, periodMs, burst }: Policy): Reference {
  const token = BigInt(Math.round(periodMs * 1000))
  const full = BigInt(burst) * token
  let [parts, atUs] = [full, 0]
  function partsAt(nowUs: number): bigint {
    const refilled = parts + BigInt(Math.max(0, nowUs - atUs)) * BigInt(count)
    return refilled > full ? full : refilled
  }
  const settle = (nowUs: number) => {
    parts = partsAt(nowUs)
    atUs = nowUs
  }
  return {
    moveTo(nowUs) {
      atUs = Math.min(atUs, nowUs)
    },
    spare: (nowUs) => Number(partsAt(nowUs) / token),
    take(nowUs, units, id) {
      settle(nowUs)
      parts -= BigInt(units) * token
      if (parts < 0n) parts = 0n
      const missing = full - parts
      return { id, units, endsUs: nowUs + Number((missing + BigInt(count) - 1n) / BigInt(count)) }
    },
    giveBack(nowUs, { units, endsUs }) {
      const refillUs = Number((full + BigInt(count) - 1n) / BigInt(count))
      if (partsAt(nowUs) === full || endsUs > nowUs + refillUs) return false
      settle(nowUs)
      parts += BigInt(units) * token
      if (parts > full) parts = full
      return true
    },
    reset() {
      parts = full
    },
  }
}

function fixedWindow({ count, periodMs }: Policy): Reference {
  const windowUs = Math.round(periodMs * 1000)
  const indexOf = (nowUs: number) => Math.floor(nowUs / windowUs)
  let [index, used] = [0, 0]
  return {
    moveTo(nowUs) {
      index = Math.min(index, indexOf(nowUs)) // units of a later window count in this one
    },
    spare: (nowUs) => (indexOf(nowUs) > index ? count : count - used),
    take(nowUs, units, id) {
      if (indexOf(nowUs) > index) used = 0
      index = indexOf(nowUs)
      used = Math.min(count, used + units)
      return { id, units, endsUs: (indexOf(nowUs) + 1) * windowUs }
    },
    giveBack(nowUs, { units, endsUs }) {
      if (used === 0 || indexOf(nowUs) !== index || endsUs !== (index + 1) * windowUs) return false
      used = Math.max(0, used - units)
      return true
    },
    reset() {
      used = 0
    },
  }
}

function counter({ count, periodMs }: Policy): Reference {
  const windowUs = Math.round(periodMs * 1000)
  const indexOf = (nowUs: number) => Math.floor(nowUs / windowUs)
  let [index, current, previous, isKept] = [0, 0, 0, false]
  return {
    moveTo(nowUs) {
      index = Math.min(index, indexOf(nowUs)) // as in a fixed window
    },
    spare(nowUs) {
      const steps = indexOf(nowUs) - index
      const [now, before] = steps === 0 ? [current, previous] : steps === 1 ? [0, current] : [0, 0]
      const leftUs = BigInt(windowUs - (nowUs % windowUs))
      const stillCounted = Number((BigInt(before) * leftUs) / BigInt(windowUs)) // rounded down
      return Math.max(0, count - now - stillCounted)
    },
    take(nowUs, units, id) {
      const steps = indexOf(nowUs) - index
      if (steps === 1) [current, previous] = [0, current]
      if (steps > 1) [current, previous] = [0, 0]
      index = indexOf(nowUs)
      current += Math.max(0, Math.min(units, this.spare(nowUs)))
      isKept = true
      return { id, units, endsUs: (indexOf(nowUs) + 2) * windowUs }
    },
    giveBack(nowUs, { units, endsUs }) {
      const age = index + 2 - endsUs / windowUs
      if (!isKept || indexOf(nowUs) < index || (age !== 0 && age !== 1)) return false
      if (age === 0) current = Math.max(0, current - units)
      else previous = Math.max(0, previous - units)
      return true
    },
    reset() {
      current = 0
      previous = 0
      isKept = false
    },
  }
}

function log({ count, periodMs }: Policy): Reference {
  const periodUs = Math.round(periodMs * 1000)
  let units: { atUs: number; id: number }[] = []
  return {
    moveTo(nowUs) {
      units = units.map(({ atUs, id }) => ({ atUs: Math.min(atUs, nowUs), id }))
    },
    spare: (nowUs) => count - units.filter(({ atUs }) => atUs > nowUs - periodUs).length,
    take(nowUs, number, id) {
      units = units.filter(({ atUs }) => atUs > nowUs - periodUs)
      const taken = Math.min(number, this.spare(nowUs))
      for (let n = 0; n < taken; n++) units.push({ atUs: nowUs, id })
      return { id, units: number, endsUs: nowUs + periodUs }
    },
    giveBack(_nowUs, charge) {
      const kept = units.filter(({ id }) => id !== charge.id)
      const isFound = kept.length < units.length
      units = kept
      return isFound
    },
    reset() {
      units = []
    },
  }
}

/** What a check of `cost` finds: the waits are the shortest whole milliseconds that suffice. */
export function verdictOn(reference: Reference, policy: Policy, nowUs: number, cost: number): Verdict {
  const maxMs = 2 * Math.max(policy.periodMs, (policy.periodMs / policy.count) * policy.burst) + 2
  const waitFor = (units: number) => firstMs(maxMs, (ms) => reference.spare(nowUs + ms * 1000) >= units)
  return {
    allowed: reference.spare(nowUs) >= cost,
    remaining: Math.max(0, reference.spare(nowUs)),
    retryAfterMs: cost > policy.burst ? -1 : waitFor(cost),
    resetAfterMs: waitFor(policy.burst),
  }
}

/** The first whole number for which `holds`, which holds for all after it. */
function firstMs(maxMs: number, holds: (ms: number) => boolean): number {
  let [low, high] = [0, Math.ceil(maxMs)]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
