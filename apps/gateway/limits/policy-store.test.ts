/** The table in force: the file with the overrides, through reloads of either. */
import { ConfigError } from '@shop/service-kit/process/config'
import type { Log } from '@shop/service-kit/telemetry/log'
import { expect, it } from 'vitest'
import type { StoredOverride } from './overrides/overrides.ts'
import { type PolicyChanges, policyText } from './policies.fixture.ts'
import type { PolicySource } from './policy.ts'
import { parsePolicies } from './policy-file/policy-file.ts'
import { createPolicyStore } from './policy-store.ts'

function sourceOf(changes: PolicyChanges = {}): PolicySource {
  const { source, problems } = parsePolicies(policyText(changes))
  if (source === undefined) throw new ConfigError(problems.map(({ reason }) => reason))
  return source
}

function start() {
  const logged: string[] = []
  const write = (fields: object, message: string) => logged.push(`${message} ${JSON.stringify(fields)}`)
  const log = { info: write, warn: write, error: write } as unknown as Log
  let changes: PolicyChanges = {}
  const store = createPolicyStore({ source: sourceOf(), read: async () => sourceOf(changes), log })
  const seen: string[] = []
  store.onChange(({ version }) => seen.push(version))
  const address = () => {
    const policies = store.current().rules.flatMap((rule) => rule.policies)
    return policies.find(({ name }) => name === 'address')
  }
  const reload = (next: PolicyChanges) => {
    changes = next
    return store.reload()
  }
  return { store, logged, seen, address, reload }
}

const override = (values: object, policy = 'address') =>
  ({ policy, revision: '1-0', at: '2026-01-01T00:00:00.000Z', by: 'admin', values }) as StoredOverride
const limit = { count: 50, periodMs: 1_000 }

it('an override holds through a reload of the file, and the other policies follow the file', async () => {
  const { store, address, reload, seen } = start()
  store.override([override({ limit, burst: 70 })])
  await reload({ address: { limit: '10 per 1s' }, user: { limit: '9 per 1s' } })
  expect(address()).toMatchObject({ limit, burst: 70, onUnavailable: 'local' })
  const policies = store.current().rules.flatMap((rule) => rule.policies)
  expect(policies.find(({ name }) => name === 'user')?.limit).toEqual({ count: 9, periodMs: 1_000 })
  expect(seen).toHaveLength(2)
})

it('an override that a new file contradicts is left out, logged once, and holds again when it fits', async () => {
  const { store, address, reload, logged } = start()
  store.override([override({ limit, burst: 20 })])
  await reload({ address: { cost: 30 } })
  expect(address()).toMatchObject({ limit: { count: 200 }, burst: 600 })
  expect(store.details().unused).toEqual([
    { policy: 'address', revision: '1-0', reason: 'burst 20 is below cost 30: never admitted' },
  ])
  store.override([override({ limit, burst: 20 })])
  expect(logged.filter((line) => line.startsWith('rate limit override ignored'))).toHaveLength(1)
  await reload({})
  expect(address()).toMatchObject({ limit, burst: 20 })
})

it('an override of a policy that left the file is unused', () => {
  const { store } = start()
  store.override([override({ limit }, 'gone')])
  expect(store.details().unused).toMatchObject([{ policy: 'gone', reason: 'the file has no policy of this name' }])
})

it('a broken file leaves table, version and listeners alone, and the log has its lines', async () => {
  const { store, reload, seen, logged } = start()
  const before = store.current()
  await reload({ address: { limit: '0 per 1s' }, user: { algorithm: 'leaky' } })
  expect(store.current()).toBe(before)
  expect(seen).toEqual([])
  expect(logged).toEqual([expect.stringMatching(/^rate limits refused: .*not 0.*not \\"leaky\\"/)])
})

it('equal tables have equal versions in all processes, and each change another', () => {
  const [a, b] = [start(), start()]
  expect(a.store.current().version).toBe(b.store.current().version)
  const versions = [50, 51].map((count) => {
    a.store.override([override({ limit: { ...limit, count } })])
    return a.store.current().version
  })
  expect(new Set([b.store.current().version, ...versions]).size).toBe(3)
})

it('listeners hear of a change once, and nothing of the same overrides read again', () => {
  const { store, seen } = start()
  for (let i = 0; i < 3; i++) store.override([override({ limit })])
  expect(seen).toEqual([store.current().version])
})
