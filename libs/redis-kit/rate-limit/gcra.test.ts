import { describe, expect, test } from 'vitest'
import type { Charge } from './charge.ts'
import { decide, spacingOf } from './gcra.ts'
import { createLocalBucket } from './local-bucket.ts'

/** A reproducible source of integers below n (mulberry32). */
function random(seed: number) {
  return (n: number) => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

/** The most units admitted in any interval, less what the interval allows: at most 0 for an exact limiter. */
function worstExcess(admitted: { atUs: number; cost: number }[], allowedIn: (spanUs: number) => number) {
  let worst = Number.NEGATIVE_INFINITY
  for (let from = 0; from < admitted.length; from++) {
    let units = 0
    for (const { atUs, cost } of admitted.slice(from)) {
      units += cost
      worst = Math.max(worst, units - allowedIn(atUs - (admitted[from]?.atUs ?? 0)))
    }
  }
  return worst
}

describe('the algorithm', () => {
  const policy = { count: 100, periodMs: 1000, burst: 20 }
  const allowedIn = (spanUs: number) => policy.burst + (spanUs * policy.count) / (policy.periodMs * 1000)

  test.each([1, 2, 3, 4, 5])('any interval admits at most burst + rate * interval (seed %i)', (seed) => {
    const pick = random(seed)
    const spacing = spacingOf(policy)
    const admitted: { atUs: number; cost: number }[] = []
    let [nowUs, tatUs] = [1_000_000, 0]
    for (let i = 0; i < 2000; i++) {
      nowUs += pick(10) === 0 ? pick(300_000) : pick(5000)
      const cost = 1 + pick(4)
      const verdict = decide(tatUs, nowUs, spacing, cost)
      tatUs = verdict.tatUs
      if (verdict.allowed) admitted.push({ atUs: nowUs, cost })
    }
    expect(admitted.length).toBeGreaterThan(100)
    expect(worstExcess(admitted, allowedIn)).toBeLessThanOrEqual(0)
  })

  test('control: a fixed window admits twice the limit around its boundary', () => {
    const limit = 20
    const admitted: { atUs: number; cost: number }[] = []
    const counts = new Map<number, number>()
    for (const atUs of [...Array(25).fill(999_000), ...Array(25).fill(1_001_000)] as number[]) {
      const window = Math.floor(atUs / 1_000_000)
      const count = (counts.get(window) ?? 0) + 1
      counts.set(window, count)
      if (count <= limit) admitted.push({ atUs, cost: 1 })
    }
    expect(worstExcess(admitted, (spanUs) => limit + (spanUs * limit) / 1_000_000)).toBeGreaterThan(15)
  })

  test('120 per minute with burst 1 is two a second, evenly', () => {
    const spacing = spacingOf({ count: 120, periodMs: 60_000, burst: 1 })
    const first = decide(0, 0, spacing, 1)
    expect(first).toMatchObject({ allowed: true, remaining: 0 })
    expect(decide(first.tatUs, 499_999, spacing, 1)).toMatchObject({ allowed: false, retryAfterMs: 1 })
    expect(decide(first.tatUs, 500_000, spacing, 1)).toMatchObject({ allowed: true })
  })

  test.each([
    [{ count: 0, periodMs: 1000, burst: 1 }, 'limit.count'],
    [{ count: 1.5, periodMs: 1000, burst: 1 }, 'limit.count'],
    [{ count: 1, periodMs: 0, burst: 1 }, 'limit.periodMs'],
    [{ count: 1, periodMs: Number.NaN, burst: 1 }, 'limit.periodMs'],
    [{ count: 1, periodMs: 1000, burst: 0 }, 'burst'],
    [{ count: 1, periodMs: 1000, burst: Number.POSITIVE_INFINITY }, 'burst'],
    [{ count: 700_001, periodMs: 1000, burst: 1 }, 'too fast'],
  ])('the policy %o is refused, and the error says %s', (bad, text) => {
    expect(() => spacingOf(bad)).toThrow(text)
  })
})

describe('the limit of one process alone', () => {
  test('an instance keeps its share of burst and rate', () => {
    let now = 0
    const bucket = createLocalBucket(
      { count: 100, periodMs: 1000, burst: 20 },
      { instances: () => 4, maxIds: 10, nowMs: () => now },
    )
    const admitted = (tries: number) =>
      Array.from({ length: tries }, () => bucket.check('a', 1)).filter((v) => v.allowed)
    expect(admitted(50)).toHaveLength(5)
    now = 80 // 25 per second: two more
    expect(admitted(50)).toHaveLength(2)
  })

  test('a peek takes nothing, and a penalty leaves nothing', () => {
    const bucket = createLocalBucket(
      { count: 100, periodMs: 1000, burst: 20 },
      { instances: () => 4, maxIds: 10, nowMs: () => 0 },
    )
    expect(bucket.peek('a', 2)).toEqual({ allowed: true, remaining: 5, retryAfterMs: 0, resetAfterMs: 0 })
    expect(bucket.penalize('a', 2)).toMatchObject({ allowed: true, remaining: 3, resetAfterMs: 80 })
    expect(bucket.penalize('a', 9)).toMatchObject({ allowed: false, remaining: 0, retryAfterMs: 40, resetAfterMs: 200 })
  })

  test('a charge is given back once, exactly, and not after time may have done so', () => {
    let now = 0
    const instances = { count: 4 }
    const bucket = createLocalBucket(
      { count: 100, periodMs: 1000, burst: 20 },
      { instances: () => instances.count, maxIds: 10, nowMs: () => now },
    )
    const charges = Array.from({ length: 5 }, () => bucket.check('a', 1).charge)
    const [first, second] = charges as [Charge, Charge]
    expect(bucket.check('a', 1).charge).toBeUndefined()
    expect(bucket.refund('a', second)).toBe(true)
    expect(bucket.refund('a', second)).toBe(false)
    expect(bucket.check('a', 1).allowed).toBe(true)
    expect(bucket.check('a', 1).allowed).toBe(false)
    now = 40 // one of 25 per second: the first charge has drained
    expect(bucket.refund('a', first)).toBe(false)
    instances.count = 1 // what was taken does not change with the share
    expect(bucket.refund('a', charges[4] as Charge)).toBe(true)
    expect(bucket.peek('a', 1).remaining).toBe(20 - (5 - 1 - 1) * 4)
    expect(bucket.refund('a', { ...first })).toBeUndefined() // of another process
  })

  test('a cost that the whole limit can bear is admitted by an instance whose share is smaller', () => {
    const bucket = createLocalBucket(
      { count: 100, periodMs: 1000, burst: 20 },
      { instances: () => 10, maxIds: 10, nowMs: () => 0 },
    )
    expect(bucket.check('a', 15).allowed).toBe(true)
    expect(bucket.check('a', 15).allowed).toBe(false)
    expect(bucket.check('b', 21)).toMatchObject({ allowed: false, retryAfterMs: -1 })
  })

  test('a small request does not forgive a large one that exceeds the share', () => {
    let now = 0
    const bucket = createLocalBucket(
      { count: 100, periodMs: 1000, burst: 20 },
      { instances: () => 10, maxIds: 10, nowMs: () => now },
    )
    expect(bucket.check('a', 20).allowed).toBe(true) // a tenth of the rate: it has drained after 2,000 ms
    const small = { allowed: false, remaining: 0, retryAfterMs: 1_900, resetAfterMs: 2_000 } // the share is two, of 100 ms each
    expect(bucket.peek('a', 1)).toEqual(small)
    expect(bucket.check('a', 1)).toEqual(small)
    expect(bucket.penalize('a', 1)).toEqual(small)
    now = 1_900
    expect(bucket.check('a', 1)).toMatchObject({ allowed: true, remaining: 0 })
    expect(bucket.check('a', 20)).toMatchObject({ allowed: false, retryAfterMs: 200 })
  })
})
