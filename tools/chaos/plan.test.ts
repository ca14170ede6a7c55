import { expect, test } from 'vitest'
import { isFailure, routeFigures } from './ledger.ts'
import { type Incident, planIncidents } from './plan.ts'

const minuteMs = 60_000

test('the same seed plans the same faults, and another seed others', () => {
  expect(planIncidents(7, 5 * minuteMs)).toEqual(planIncidents(7, 5 * minuteMs))
  expect(planIncidents(7, 5 * minuteMs)).not.toEqual(planIncidents(8, 5 * minuteMs))
})

test.each([1, 2, 3, 4, 5])(
  'a plan of seed %i leaves the shop time to recover, and ends with a recovered shop',
  (seed) => {
    const plan = planIncidents(seed, 10 * minuteMs)
    expect(plan.length).toBeGreaterThan(20)
    for (const [index, incident] of plan.entries()) {
      const before = plan.slice(0, index).map(({ startMs, durationMs }) => startMs + durationMs)
      const overlaps = before.some((endMs) => endMs > incident.startMs)
      const quietMs = incident.startMs - Math.max(0, ...before)
      // Either it belongs to a pair, or there is a pause before it.
      expect(overlaps || quietMs === 500 || quietMs >= 9_000, JSON.stringify(incident)).toBe(true)
      expect(incident.startMs + incident.durationMs).toBeLessThanOrEqual(10 * minuteMs - 9_000)
    }
  },
)

test('a long plan has every fault of every server', () => {
  const plan = planIncidents(1, 30 * minuteMs)
  const causes = new Set(plan.map(({ fault, target }) => `${fault} ${target}`))
  for (const target of ['redis-cache', 'redis-state']) {
    for (const fault of ['kill', 'freeze', 'cut', 'reset', 'slow', 'oom', 'readonly', 'noreplicas']) {
      expect(causes).toContain(`${fault} ${target}`)
    }
  }
  for (const fault of ['kill', 'freeze', 'cut', 'reset', 'slow', 'read-only'])
    expect(causes).toContain(`${fault} postgres`)
})

test('an outage lasts from the end of its cause to the end of the last failed request before the next cause', () => {
  const cause: Incident = { startMs: 1_000, durationMs: 1_000, fault: 'freeze', target: 'redis-state' }
  const next: Incident = { startMs: 9_000, durationMs: 0, fault: 'kill', target: 'user' }
  const request = (startMs: number, outcome: number | string) => ({
    route: 'GET /',
    startMs,
    endMs: startMs + 100,
    outcome,
  })
  const entries = [
    request(1_500, 503),
    request(2_200, 503),
    request(3_000, 'timeout'),
    request(4_000, 200),
    request(9_500, 503),
  ]
  const [figures] = routeFigures(entries, [cause, next])
  expect(figures).toMatchObject({ requestCount: 5, failedCount: 4, outcomes: { 503: 3, timeout: 1 } })
  expect(figures).toMatchObject({ longestOutageMs: 1_100, outageCause: cause })
})

test('a refusal of the caller is an answer, and a lost session is a failure', () => {
  expect([200, 404, 409, 422, 429].map(isFailure)).toEqual([false, false, false, false, false])
  expect([401, 500, 503, 'ECONNRESET', 'timeout'].map(isFailure)).toEqual([true, true, true, true, true])
})
