/** What an override may do to the policies of the file. */
import { expect, it } from 'vitest'
import type { LimitPolicy, PolicySource } from '../policy.ts'
import { problemsOfOverride } from './effective.ts'

function problemsFor(cost: number | undefined, count: number, periodMs = 60_000): string[] {
  const policy: LimitPolicy = {
    name: 'all',
    algorithm: 'gcra',
    limit: { count: 1_000, periodMs: 1_000 },
    role: 'cache',
    onUnavailable: 'local',
    ...(cost !== undefined && { cost }),
  }
  const rules: PolicySource['rules'] = [{ routes: 'all', dimension: 'address', policies: [policy] }]
  const source: PolicySource = { rules, bulkheads: [], maxConnectionsPerAddress: 1 }
  const values = { limit: { count, periodMs } }
  return problemsOfOverride(source, { dimension: 'address', policy }, values).map(({ reason }) => reason)
}

it('administrators keep ten requests per minute, whatever a request costs', () => {
  const refused = [expect.stringContaining('leave them 10 requests per minute')]
  expect(problemsFor(undefined, 9)).toEqual(refused)
  expect(problemsFor(undefined, 10)).toEqual([])
  expect(problemsFor(5, 49)).toEqual(refused)
  expect(problemsFor(5, 50)).toEqual([])
})

it('a limit that is refused for its burst is told which burst is needed', () => {
  expect(problemsFor(undefined, 5, 10_000)).toEqual([expect.stringContaining('and a burst of 10')])
  expect(problemsFor(undefined, 10, 20_000)).toEqual([])
})
