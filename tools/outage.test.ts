import { expect, test } from 'vitest'
import { loadTimeMs } from './outage/loads.ts'
import { observeOutage } from './outage/outage.ts'

/** In full, and with the clock on it: `npm run outage`. */
test('readers of the catalog do not notice that the cache’s Redis is killed under them, and Postgres sees no crowd', {
  timeout: 120_000,
}, async () => {
  const poolMax = 8
  const { before, during, after, normalAfterMs, sessions } = await observeOutage({
    ratePerSecond: 100,
    outageMs: 5_000,
    productCount: 100,
    poolMax,
    warmUpMs: 2_000,
    patienceMs: 60_000,
    report: () => {},
  })
  for (const readers of [before, during, after]) expect(readers).toMatchObject({ failedCount: 0, failures: [] })
  // The test would be worth nothing if Redis had answered, or if nobody had asked.
  expect(during.hitShare).toBeLessThan(0.5)
  expect(during.readCount).toBeGreaterThan(300)
  expect(normalAfterMs).toBeDefined()
  expect(sessions.lookCount).toBeGreaterThan(50)
  expect(sessions.connectedCount).toBeLessThanOrEqual(poolMax)
  expect(sessions.connectedCount).toBeGreaterThan(0)
})

test('the time of loads is told from two readings of a histogram', () => {
  const before = new Map([
    [0.01, 5],
    [0.1, 5],
    [Number.POSITIVE_INFINITY, 5],
  ])
  const after = new Map([
    [0.01, 14],
    [0.1, 15],
    [Number.POSITIVE_INFINITY, 15],
  ])
  expect([0.5, 0.9, 0.99].map((share) => loadTimeMs(before, after, share))).toEqual([10, 10, 100])
  expect(loadTimeMs(before, before, 0.99)).toBe(0)
})
