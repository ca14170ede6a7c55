/** What each algorithm admits around the edge of a window, and after a failover: the figures of the README. The test sets the clock. */
import { describe, expect, test } from 'vitest'
import { type Found, runHistories, type Step, startHistoryServer } from './algorithm/history.fixture.ts'
import { ALGORITHMS, type Algorithm, type Policy } from './algorithms.ts'

const redis = await startHistoryServer()

/** A window begins here. */
const START_US = 1_800_000_000_000_000
const policyOf = (algorithm: Algorithm): Policy => ({ algorithm, count: 60, periodMs: 1_000, burst: 60 })
/** The first after `waitUs`, and each of the others after `betweenUs`. */
const checks = (count: number, waitUs: number, betweenUs = 0): Step[] =>
  Array.from({ length: count }, (_, i) => ({ kind: 'check', cost: 1, waitUs: i === 0 ? waitUs : betweenUs }))

async function run(algorithm: Algorithm, steps: Step[]): Promise<Found[]> {
  const { found } = await runHistories(redis, [{ policy: policyOf(algorithm), startUs: START_US, steps }])
  return found[0] ?? []
}

const admittedOf = (found: Found[]) => found.filter(([, allowed]) => allowed === 1)

/** The most that any stretch of this length holds, without its end. */
function mostWithin(spanUs: number, found: Found[]): number {
  const times = admittedOf(found).map(([nowUs]) => nowUs)
  return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + spanUs).length))
}

/** Admitted: of 60 requests 10 ms before the edge and 60 after it; then the most in one window length, at one request per ms. */
const figures: Record<Algorithm, { atTheEdge: number; inOnePeriod: number }> = {
  'fixed-window': { atTheEdge: 120, inOnePeriod: 120 },
  'sliding-window-log': { atTheEdge: 60, inOnePeriod: 60 },
  'sliding-window-counter': { atTheEdge: 61, inOnePeriod: 120 },
  'token-bucket': { atTheEdge: 61, inOnePeriod: 119 },
  gcra: { atTheEdge: 61, inOnePeriod: 119 },
}

describe.each(ALGORITHMS)('%s, 60 per second', (algorithm) => {
  test(`admits ${figures[algorithm].atTheEdge} within 20 ms around the edge of a window`, async () => {
    const found = await run(algorithm, [...checks(60, 990_000), ...checks(60, 20_000)])
    expect(admittedOf(found).length).toBe(figures[algorithm].atTheEdge)
  })

  test(`admits at most ${figures[algorithm].inOnePeriod} in any second, after a pause and at saturation`, async () => {
    const burst: Step[] = [{ kind: 'check', cost: 60, waitUs: 999_000 }]
    const found = await run(algorithm, [...burst, ...checks(2_000, 1_000, 1_000)])
    const units = found.flatMap((one, i) => (i === 0 ? Array.from({ length: 60 }, () => one) : [one]))
    expect(mostWithin(1_000_000, units)).toBe(figures[algorithm].inOnePeriod)
  })

  test('locks no id out for longer than a window or a refill when a failover puts the clock back by 30 s', async () => {
    const found = await run(algorithm, [
      { kind: 'check', cost: 60, waitUs: 0 },
      { kind: 'check', cost: 1, waitUs: -30_000_000 },
      { kind: 'again', cost: 1, waitUs: 0 },
      { kind: 'check', cost: 60, waitUs: 0 },
      { kind: 'again', cost: 60, waitUs: 0 },
    ])
    expect(found.map(([, allowed]) => allowed)).toEqual([1, 0, 1, 0, 1])
    expect(found[1]?.[3]).toBeLessThanOrEqual(1_001) // of the counter: until the next window has begun
  })
})

test('a counter whose units times microseconds are above 2^53 admits a caller that waits as told', async () => {
  const rate = { count: 999_983, periodMs: 31_622_400_000 }
  const policy: Policy = { algorithm: 'sliding-window-counter', ...rate, burst: rate.count }
  const costs = Array.from({ length: 200 }, (_, i) => 1 + ((i * 7_919) % rate.count))
  const histories = costs.map((cost, i) => ({
    policy,
    startUs: START_US,
    steps: [
      { kind: 'penalize' as const, cost: rate.count, waitUs: i * 1_234_567_891 },
      { kind: 'check' as const, cost, waitUs: i, isToEdge: i % 2 === 0 }, // full is the previous window, or this one
      { kind: 'again' as const, cost, waitUs: 0 },
    ],
  }))
  const { found } = await runHistories(redis, histories)
  const [denied, waited] = [1, 2].map((step) => found.map((steps) => steps[step]?.[1]))
  expect(new Set(denied)).toEqual(new Set([0]))
  expect(new Set(waited)).toEqual(new Set([1]))
})

test('a counter takes the previous window for even: a burst at its start counts for longer, one at its end for less', async () => {
  const spareAfter = async (burstAtUs: number) => {
    const found = await run('sliding-window-counter', [
      { kind: 'check', cost: 60, waitUs: burstAtUs },
      { kind: 'peek', cost: 1, waitUs: 1_500_000 - burstAtUs },
    ])
    return found[1]?.[2]
  }
  // In the middle of the next window 30 are left. A log has 60 left in the first case, and none in the second.
  expect(await spareAfter(0)).toBe(30)
  expect(await spareAfter(999_000)).toBe(30)
})
