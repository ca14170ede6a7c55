/** The limits in the console: shown, changed, returned to the file, in every instance. */
import { randomUUID } from 'node:crypto'
import type { LimitInForce, LimitOverride, LimitOverview } from '@shop/contracts/limits'
import type { Problem } from '@shop/contracts/problem'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { startGateway } from '../gateway.fixture.ts'
import { routeClasses } from '../routes.ts'
import { overrideKeys } from './overrides/overrides.ts'

const patience = { timeout: 15_000, interval: 20 }

const gateway = await startGateway({ INSTANCE_ID: 'gateway-a' })
const other = await gateway.addGateway({ INSTANCE_ID: 'gateway-b' })
const redis = connectRedis(gateway.state.url, { name: 'limits-test' })
await whenReady(redis, 5_000)
const overridesKey = overrideKeys.overrides.key()
afterAll(async () => {
  await closeRedis(redis)
  await gateway.stop()
})

const adminId = randomUUID()
const signIn = async (role: string, userId = adminId) => {
  const { id } = await gateway.sessions.create({ userId, fields: { role } })
  return { cookie: `shop_session=${id}` }
}
const admin = await signIn('admin')
const path = '/api/console/limits'
const faster = { limit: { count: 50, periodMs: 1_000 }, burst: 100 }

interface Asking {
  method?: string
  body?: unknown
  headers?: Record<string, string>
  url?: string
}

async function ask<Body>(route = '', { method = 'GET', body, headers = admin, url = gateway.url }: Asking = {}) {
  const json = body === undefined ? {} : { body: JSON.stringify(body) }
  const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
  const response = await fetch(url + path + route, { method, ...json, headers: { ...type, ...headers } })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as Body }
}

const put = (policy: string, body: Partial<LimitOverride>, more: Asking = {}) =>
  ask<LimitInForce & Problem & { revision: string }>(`/${policy}`, { method: 'PUT', body, ...more })
const remove = (policy: string, revision: string) =>
  ask<Problem>(`/${policy}?revision=${revision}`, { method: 'DELETE' })
const overview = async (url = gateway.url) => (await ask<LimitOverview>('', { url })).body
const policyIn = async (name: string, url = gateway.url) =>
  (await overview(url)).policies.find((policy) => policy.name === name)

beforeEach(async () => {
  await redis.del(overridesKey)
  await vi.waitFor(async () => expect((await policyIn('address', other.url))?.revision).toBe('file'), patience)
})

describe('the overview', () => {
  it('shows the table as it is in force per class and dimension, and is not stored anywhere', async () => {
    const { status, headers, body } = await ask<LimitOverview>()
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(body.classes.map((one) => one.class)).toEqual([...routeClasses])
    expect(body.classes.find((one) => one.class === 'sign-in')).toMatchObject({
      limits: expect.arrayContaining([{ dimension: 'address', policies: ['sign-in-address', 'sign-in-address-day'] }]),
      bulkhead: { bodyMaxBytes: 16_384 },
    })
    expect(body.policies).toContainEqual({
      name: 'address',
      dimension: 'address',
      algorithm: 'gcra',
      limit: { count: 200, periodMs: 1_000 },
      burst: 600,
      role: 'cache',
      onUnavailable: 'local',
      revision: 'file',
    })
    expect(body.policies.find(({ name }) => name === 'api-key-day')?.limit).toEqual({ perKey: 'day' })
  })

  it('names the version that each instance has in force', async () => {
    await vi.waitFor(async () => {
      const { version, instances } = await overview()
      expect(instances.map(({ id, ...one }) => [id, one.version])).toEqual([
        ['gateway-a', version],
        ['gateway-b', version],
      ])
    }, patience)
  })
})

describe('a change', () => {
  it('is in force at once here, soon in every other instance, and says who, when and what was before', async () => {
    const changed = await put('address', { ...faster, revision: 'file' })
    expect(changed).toMatchObject({ status: 200, body: { ...faster, override: { by: adminId, file: { burst: 600 } } } })
    await vi.waitFor(async () => {
      const { version, instances } = await overview()
      expect(instances.map((one) => one.version)).toEqual([version, version])
    }, patience)
    const [change] = (await overview(other.url)).changes
    expect(change).toEqual({
      id: changed.body.revision,
      at: changed.body.override?.at,
      by: adminId,
      policy: 'address',
      action: 'override',
      from: { limit: { count: 200, periodMs: 1_000 }, burst: 600, algorithm: 'gcra', onUnavailable: 'local' },
      to: faster,
    })
  })

  it('of the algorithm leaves the burst of the file behind: a window has none', async () => {
    const window = { limit: faster.limit, algorithm: 'fixed-window', revision: 'file' } as const
    const { body } = await put('address', window)
    expect(body).toMatchObject({ algorithm: 'fixed-window', onUnavailable: 'local' })
    expect(body).not.toHaveProperty('burst')
  })

  it('that another administrator has overtaken is refused with the revision in force', async () => {
    const first = await put('address', { ...faster, revision: 'file' })
    const late = await put('address', { ...faster, burst: 200, revision: 'file' })
    expect(late).toMatchObject({ status: 409, body: { code: 'policy-changed', revision: first.body.revision } })
    const again = await put('address', { ...faster, burst: 200, revision: late.body.revision })
    expect(again).toMatchObject({ status: 200, body: { burst: 200 } })
  })

  it('wins alone when two administrators are at it at the same time', async () => {
    const changes = Array.from({ length: 10 }, (_, index) =>
      put('address', { ...faster, burst: 100 + index, revision: 'file' }, index % 2 ? { url: other.url } : {}),
    )
    const statuses = (await Promise.all(changes)).map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 409)])
  })

  it.each([
    ['a burst that no page of the console fits into', { limit: { count: 10, periodMs: 1_000 }, burst: 1 }, '/limit'],
    ['a burst on a window', { ...faster, algorithm: 'fixed-window' }, '/burst'],
    ['too fast for one key', { limit: { count: 700_000, periodMs: 1_000 } }, '/limit'],
    [
      'too fast for the limit of one process',
      { limit: { count: 999_983, periodMs: 60_000 }, algorithm: 'token-bucket' },
      '/limit',
    ],
    ['so small that no administrator could change it back', { limit: { count: 1, periodMs: 60_000 } }, '/limit'],
  ] as const)('to %s is refused with the field, and nothing changes', async (_, values, field) => {
    const refused = await put('address', { ...values, revision: 'file' })
    expect(refused).toMatchObject({ status: 422, body: { code: 'policy-contradictory', errors: [{ path: field }] } })
    expect((await policyIn('address'))?.revision).toBe('file')
  })

  it.each([
    ['limit 0', { limit: { count: 0, periodMs: 1_000 } }],
    ['a fraction', { limit: { count: 1.5, periodMs: 1_000 } }],
    ['a period over a year', { limit: { count: 1, periodMs: 32_000_000_000 } }],
    ['an unknown algorithm', { ...faster, algorithm: 'leaky' as never }],
    ['an unknown field', { ...faster, brust: 5 } as never],
    ['an invalid revision', { ...faster, revision: 'newest' }],
  ])('to %s is refused as invalid', async (_, values) => {
    const refused = await put('address', { revision: 'file', ...values })
    expect(refused).toMatchObject({ status: 400, body: { code: 'validation-failed' } })
  })

  it('of a policy that the file does not have is 404, and one of an own quota is refused', async () => {
    expect(await put('none', { ...faster, revision: 'file' })).toMatchObject({
      status: 404,
      body: { code: 'policy-not-found' },
    })
    expect(await remove('none', 'file')).toMatchObject({ status: 404, body: { code: 'policy-not-found' } })
    const ofKey = await put('api-key-day', { ...faster, revision: 'file' })
    expect(ofKey).toMatchObject({ status: 422, body: { code: 'policy-contradictory' } })
  })

  it('leaves administrators a way to sign in again', async () => {
    const hourMs = 3_600_000
    const refused = await put('password-route', { limit: { count: 1, periodMs: hourMs + 1 }, revision: 'file' })
    expect(refused).toMatchObject({
      status: 422,
      body: { detail: expect.stringContaining('sign in under this policy') },
    })
    const month = { count: 720, periodMs: 720 * hourMs }
    const window = { limit: month, algorithm: 'fixed-window', revision: 'file' } as const
    expect((await put('password-route', window)).status).toBe(422)
    const day = { count: 24, periodMs: 24 * hourMs }
    expect((await put('password-route', { ...window, limit: day })).status).toBe(200)
    const strict = await put('sign-in-address', { limit: { count: 1, periodMs: hourMs }, revision: 'file' })
    expect(strict.status).toBe(200)
  })

  it('is for administrators, from pages of the shop', async () => {
    const body = { ...faster, revision: 'file' }
    const statusAs = async (headers: Record<string, string>) => (await put('address', body, { headers })).status
    expect(await statusAs({})).toBe(401)
    expect(await statusAs(await signIn('customer', randomUUID()))).toBe(403)
    expect(await statusAs({ ...admin, origin: 'https://evil.example' })).toBe(403)
    expect((await ask('', { headers: {} })).status).toBe(401)
    expect((await policyIn('address'))?.revision).toBe('file')
  })
})

describe('a return to the file', () => {
  it('removes the override everywhere, is in the history, and does no harm twice', async () => {
    const { body } = await put('address', { ...faster, revision: 'file' })
    expect((await remove('address', 'file')).status).toBe(409)
    expect((await remove('address', body.revision)).status).toBe(204)
    expect(await policyIn('address')).toMatchObject({ revision: 'file', burst: 600 })
    await vi.waitFor(async () => expect(await policyIn('address', other.url)).toMatchObject({ burst: 600 }), patience)
    const { changes } = await overview()
    expect(changes[0]).toMatchObject({ action: 'reset', from: { burst: 100 }, to: { burst: 600 } })
    expect((await remove('address', 'file')).status).toBe(204)
    expect((await overview()).changes).toEqual(changes)
  })
})

describe('what is stored', () => {
  it('and damaged is ignored, shown as unused, and can be removed', async () => {
    await redis.hset(overridesKey, { address: '5-0 {"values":{"limit":', user: 'nonsense', gone: '6-0 {}' })
    expect(await policyIn('address')).toMatchObject({ revision: 'file', burst: 600 })
    const { unused } = await overview()
    expect(unused.map(({ policy, revision }) => [policy, revision])).toEqual([
      ['address', '5-0'],
      ['gone', '6-0'],
      ['user', 'file'],
    ])
    expect((await remove('address', '5-0')).status).toBe(204)
    expect((await remove('user', 'file')).status).toBe(204)
    expect((await remove('gone', '6-0')).status).toBe(204)
    expect((await overview()).unused).toEqual([])
  })

  it('with an invalid revision can be removed, too', async () => {
    await redis.hset(overridesKey, 'address', `${'1'.repeat(30)}-0 {}`)
    expect((await remove('address', 'file')).status).toBe(204)
    expect(await redis.hlen(overridesKey)).toBe(0)
  })

  it.each(['9999999999999999-0', '18446744073709551615-18446744073709551615'])(
    'as a change of id %s is not shown, and a new change is in force',
    async (id) => {
      const changesKey = overrideKeys.changes.key()
      await redis.del(changesKey)
      await redis.xadd(changesKey, id, 'by', adminId, 'policy', 'address', 'action', 'reset')
      expect((await ask<LimitOverview>()).body.changes).toEqual([])
      expect(await put('address', { ...faster, revision: 'file' })).toMatchObject({ status: 200, body: faster })
      expect((await overview()).changes).toHaveLength(1)
    },
  )

  it('under another type is replaced by the next change', async () => {
    for (const key of [overridesKey, overrideKeys.changes.key(), overrideKeys.instances.key()])
      await redis.set(key, 'x')
    expect((await overview()).changes).toEqual([])
    expect((await put('address', { ...faster, revision: 'file' })).status).toBe(200)
    expect((await overview()).changes).toHaveLength(1)
  })

  it('never grows beyond 100 changes', async () => {
    let revision = 'file'
    for (let i = 0; i < 105; i++) {
      const { body } = await put('user', { limit: { count: 100 + i, periodMs: 1_000 }, revision })
      revision = body.revision
    }
    expect((await overview()).changes).toHaveLength(100)
    expect(await redis.xlen(overrideKeys.changes.key())).toBe(100)
  })
})
