import { expect, test } from 'vitest'
import { doubledMs, fullJitterMs } from './backoff.ts'

test('every pause is uniform between zero and the capped exponential bound', () => {
  for (const [attempt, boundMs] of [
    [1, 25],
    [2, 50],
    [5, 400],
    [7, 1_000],
    [40, 1_000],
  ] as const) {
    expect(fullJitterMs(attempt, { random: () => 0 })).toBe(0)
    expect(fullJitterMs(attempt, { random: () => 0.999_999 })).toBeCloseTo(boundMs, 2)
  }
})

test('a thousand callers that fail together do not come back together', () => {
  const pausesMs = Array.from({ length: 1_000 }, () => fullJitterMs(4, { baseMs: 125 }))
  const perTenth = Array.from(
    { length: 10 },
    (_, tenth) => pausesMs.filter((pauseMs) => Math.floor(pauseMs / 100) === tenth).length,
  )
  expect(Math.max(...perTenth)).toBeLessThan(160)
  expect(Math.min(...perTenth)).toBeGreaterThan(50)
})

test('a bound is a number after any count of failures, also with a base of 0 or without a cap', () => {
  expect(doubledMs(5_000, { baseMs: 0 })).toBe(0)
  expect(doubledMs(5_000, { baseMs: 100, capMs: 10_000 })).toBe(10_000)
  expect(fullJitterMs(5_000, { capMs: Number.POSITIVE_INFINITY, random: () => 0 })).toBe(0)
})
