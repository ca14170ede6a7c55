import { expect, test } from 'vitest'
import { isUnbroken, runChaos } from './chaos/run.ts'
import { figuresText } from './chaos/text.ts'

/** Longer, and with other faults: `npm run chaos`. */
test('the books balance after faults under load, no process ends by itself, and no answer is a 500', {
  timeout: 300_000,
}, async () => {
  const figures = await runChaos({
    seed: 12,
    totalMs: 75_000,
    shopperCount: 6,
    keepData: false,
    report: () => {},
    signal: new AbortController().signal,
  })
  expect(isUnbroken(figures), figuresText(figures)).toBe(true)
  // It would be worth nothing without faults, failures and purchases.
  expect(figures.incidents.length).toBeGreaterThanOrEqual(5)
  expect(figures.routes.some(({ failedCount }) => failedCount > 0)).toBe(true)
  expect(
    figures.checks.filter(({ lookedAtCount, what }) => lookedAtCount === 0 && !what.startsWith('refunds')),
  ).toEqual([])
})
