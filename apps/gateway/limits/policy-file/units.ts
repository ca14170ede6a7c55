/** The quantities of the policy file: "200 per 1s", "own quota per day", 16KiB. */
import type { LimitPolicy } from '../policy.ts'
import type { Parsed } from './yaml-fields.ts'

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const unitsBytes: Readonly<Record<string, number>> = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 }

const rate = /^(-?\d+(?:\.\d+)?) per (-?\d+(?:\.\d+)?)(ms|s|m|h|d)$/
const ownQuota = /^own quota per (minute|day)$/
const size = /^(\d{1,10})(B|KiB|MiB|GiB)$/

/** Reads the numbers. The rules of policies refuse those that make no sense, and name the reason. */
export function limitIn(scalar: unknown): Parsed<LimitPolicy['limit']> {
  const text = typeof scalar === 'string' ? scalar : ''
  const [, count, amount, unit = ''] = rate.exec(text) ?? []
  if (count !== undefined) return { value: { count: Number(count), periodMs: inMs(Number(amount), unit) } }
  const perKey = ownQuota.exec(text)?.[1]
  if (perKey === 'minute' || perKey === 'day') return { value: { perKey } }
  return { expected: 'like "200 per 1s" (ms, s, m, h or d) or "own quota per minute" or "own quota per day"' }
}

/** 8.2 * 60,000 is 491,999.99999999994 as a double. */
function inMs(amount: number, unit: string): number {
  return Math.round(amount * (unitsMs[unit] ?? 1) * 1e6) / 1e6
}

export function sizeIn(scalar: unknown): Parsed<number> {
  const [, amount, unit = ''] = size.exec(typeof scalar === 'string' ? scalar : '') ?? []
  const value = Number(amount) * (unitsBytes[unit] ?? 1)
  return value >= 1 && value <= Number.MAX_SAFE_INTEGER
    ? { value }
    : { expected: 'a size like 16KiB, from 1B (B, KiB, MiB, GiB)' }
}

export function countIn(scalar: unknown): Parsed<number> {
  return Number.isSafeInteger(scalar) && Number(scalar) >= 1
    ? { value: Number(scalar) }
    : { expected: 'a whole number of at least 1' }
}
