import { createMetrics } from '@shop/service-kit/telemetry/metrics'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createTally } from './tally.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function tallyWithLog() {
  const lines: unknown[] = []
  const metrics = createMetrics({ service: 'gateway', instanceId: 'gateway-test' })
  const tally = createTally({ log: { warn: (fields: unknown) => void lines.push(fields) } as never, metrics })
  return { tally, metrics, lines }
}

test('the first refusal is logged at once, and a million more in one line a minute later', () => {
  const { tally, lines } = tallyWithLog()
  tally.count('rate-limit', 'address')
  expect(lines).toEqual([{ refused: [{ reason: 'rate-limit', by: 'address', count: 1 }] }])
  for (let i = 0; i < 1_000_000; i++) tally.count('rate-limit', 'address')
  tally.count('connections', 'address')
  expect(lines).toHaveLength(1)
  vi.advanceTimersByTime(60_000)
  expect(lines[1]).toEqual({
    refused: [
      { reason: 'rate-limit', by: 'address', count: 1_000_000 },
      { reason: 'connections', by: 'address', count: 1 },
    ],
  })
})

test('a minute without refusals has no line, and the next refusal is logged at once', () => {
  const { tally, lines } = tallyWithLog()
  tally.count('bulkhead', 'all')
  vi.advanceTimersByTime(600_000)
  expect(lines).toHaveLength(1)
  tally.count('bulkhead', 'all')
  expect(lines).toHaveLength(2)
})

test('what no line has reported is reported at the end, and nothing later', () => {
  const { tally, lines } = tallyWithLog()
  for (let i = 0; i < 5; i++) tally.count('rate-limit', 'route')
  tally.close()
  expect(lines[1]).toEqual({ refused: [{ reason: 'rate-limit', by: 'route', count: 4 }] })
  expect(vi.getTimerCount()).toBe(0)
})

test('the metric has each reason and what refused', async () => {
  const { tally, metrics } = tallyWithLog()
  for (let i = 0; i < 3; i++) tally.count('rate-limit', 'address')
  const { text } = await metrics.page()
  expect(text).toMatch(/gateway_refusals_total\{reason="rate-limit",by="address",[^}]*\} 3/)
})
