import { randomUUID } from 'node:crypto'
import type { ApiKeyPage, IssuedApiKey } from '@shop/contracts/api-key'
import type { Identity } from '@shop/contracts/identity'
import { parseApiKeyToken } from '@shop/service-kit/identity/api-key-token'
import { createPrismaAdapter } from '@shop/service-kit/storage/database'
import { afterAll, describe, expect, test } from 'vitest'
import { PrismaClient } from '../prisma/client/client.ts'
import { startUser } from '../user.fixture.ts'
import { maxLiveApiKeys } from './api-keys.ts'

const user = await startUser()
const prisma = new PrismaClient({ adapter: createPrismaAdapter(user.database.url, { name: 'test' }) })
afterAll(async () => {
  await prisma.$disconnect()
  await user.stop()
})

const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'of-an-admin' }
const example = { name: 'Price comparison', scopes: ['products:read'], quota: { perMinute: 60, perDay: 1_000 } }

const post = (body: object = example, as: Identity = admin) => user.ask('/api/api-keys', { as, method: 'POST', body })
const issue = async (body: object = example) => (await post(body)).json<IssuedApiKey>()
const rotate = (id: string) => user.ask(`/api/api-keys/${id}/rotate`, { as: admin, method: 'POST' })
const revoke = (id: string) => user.ask(`/api/api-keys/${id}`, { as: admin, method: 'DELETE' })
const list = async (query = '') => (await user.ask(`/api/api-keys${query}`, { as: admin })).json<ApiKeyPage>()
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()

describe('issuing', () => {
  test('shows the token once, in an answer that no cache keeps', async () => {
    const response = await post({ ...example, name: '  Price comparison ', expiresAt: inDays(1) })
    const { apiKey, token } = response.json<IssuedApiKey>()
    expect([response.statusCode, response.headers['cache-control']]).toEqual([201, 'no-store'])
    expect(apiKey).toMatchObject({
      name: 'Price comparison',
      scopes: example.scopes,
      quota: example.quota,
      inForce: true,
    })
    expect(apiKey).toMatchObject({ createdBy: admin.userId, prefix: `shop_${apiKey.id}` })
    expect(parseApiKeyToken(token)?.id).toBe(apiKey.id)
  })

  test('keeps neither the token nor its secret in Postgres, and shows neither again', async () => {
    const { apiKey, token } = await issue()
    const row = await prisma.apiKey.findUniqueOrThrow({ where: { id: apiKey.id } })
    const secret = token.split('_')[2] as string
    expect(JSON.stringify(row)).not.toContain(secret)
    expect(row.digest).toBe(parseApiKeyToken(token)?.digest)
    const shown = JSON.stringify(await list())
    expect(shown).toContain(apiKey.id)
    expect([shown.includes(secret), shown.includes(row.digest), shown.includes('digest')]).toEqual([
      false,
      false,
      false,
    ])
  })

  test.each([
    ['no scope', { ...example, scopes: [] }, 400, 'validation-failed', '/scopes'],
    ['an unknown scope', { ...example, scopes: ['orders:read'] }, 400, 'validation-failed', '/scopes/0'],
    ['a scope twice', { ...example, scopes: ['products:read', 'products:read'] }, 400, 'validation-failed', '/scopes'],
    ['a quota of 0', { ...example, quota: { perMinute: 0, perDay: 1 } }, 400, 'validation-failed', '/quota/perMinute'],
    ['no quota', { ...example, quota: undefined }, 400, 'validation-failed', '/quota'],
    [
      'less per day than per minute',
      { ...example, quota: { perMinute: 9, perDay: 8 } },
      422,
      'quota-contradictory',
      '/quota/perDay',
    ],
    ['an end in the past', { ...example, expiresAt: inDays(-1) }, 422, 'api-key-expired', '/expiresAt'],
    ['a leap second', { ...example, expiresAt: '2030-06-30T23:59:60Z' }, 422, 'api-key-expired', '/expiresAt'],
    [
      'an end after the year 9999',
      { ...example, expiresAt: '9999-12-31T23:59:59-00:01' },
      422,
      'expiry-too-late',
      '/expiresAt',
    ],
    ['an end that is no time', { ...example, expiresAt: 'tomorrow' }, 400, 'validation-failed', '/expiresAt'],
    ['a blank name', { ...example, name: ' ' }, 400, 'validation-failed', '/name'],
    ['an unknown field', { ...example, token: 'mine' }, 400, 'validation-failed', '/token'],
  ])('refuses %s', async (_name, body, status, code, path) => {
    const response = await post(body)
    expect([response.statusCode, response.json().code, response.json().errors?.[0]?.path]).toEqual([status, code, path])
  })

  test('is refused over the cap, however many come at once; revoked and expired keys do not count', async () => {
    const fresh = await startUser()
    const own = new PrismaClient({ adapter: createPrismaAdapter(fresh.database.url, { name: 'test' }) })
    const row = (index: number) => ({
      id: String(index).padStart(8, '0'),
      name: 'x',
      digest: 'x',
      scopes: ['products:read'],
    })
    const quota = { perMinute: 1, perDay: 1, createdBy: randomUUID() }
    const rows = Array.from({ length: maxLiveApiKeys + 1 }, (_, index) => ({ ...row(index), ...quota }))
    const ended = [{ revokedAt: new Date() }, { expiresAt: new Date(0) }, {}]
    await own.apiKey.createMany({ data: rows.map((one, index) => ({ ...one, ...ended[Math.min(index, 2)] })) })
    const ask = () => fresh.ask('/api/api-keys', { as: admin, method: 'POST', body: example })
    const answers = await Promise.all(Array.from({ length: 8 }, ask))
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409])
    expect(answers.find(({ statusCode }) => statusCode === 409)?.json().code).toBe('too-many-api-keys')
    await own.$disconnect()
    await fresh.stop()
  })
})

test('rotating replaces the token and keeps the id; the list shows when', async () => {
  const { apiKey, token } = await issue()
  const response = await rotate(apiKey.id)
  const rotated = response.json<IssuedApiKey>()
  expect([response.statusCode, response.headers['cache-control']]).toEqual([200, 'no-store'])
  expect(rotated.apiKey).toEqual({ ...apiKey, rotatedAt: expect.any(String) })
  expect(rotated.token).not.toBe(token)
  expect(rotated.token.startsWith(apiKey.prefix)).toBe(true)
})

test('revoking twice is revoking, and a revoked or expired key is not rotated', async () => {
  const { apiKey } = await issue()
  expect([(await revoke(apiKey.id)).statusCode, (await revoke(apiKey.id)).statusCode]).toEqual([204, 204])
  const refused = await rotate(apiKey.id)
  expect([refused.statusCode, refused.json().code]).toEqual([409, 'api-key-ended'])
  const short = await issue({ ...example, expiresAt: inDays(1) })
  await prisma.apiKey.update({ where: { id: short.apiKey.id }, data: { expiresAt: new Date(0) } })
  expect((await rotate(short.apiKey.id)).json().code).toBe('api-key-ended')
})

test('an unknown id is 404, and one of another shape 400', async () => {
  expect([(await rotate('00000000')).statusCode, (await revoke('00000000')).statusCode]).toEqual([404, 404])
  expect((await revoke('00000000')).json().code).toBe('api-key-not-found')
  expect([(await rotate('short')).statusCode, (await revoke(`${randomUUID()}`)).statusCode]).toEqual([400, 400])
})

test('the list is paged, newest first, without a gap and without a repetition', async () => {
  for (let count = 0; count < 5; count += 1) await issue()
  const all = await prisma.apiKey.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'desc' }] })
  const seen: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: ApiKeyPage = await list(`?limit=2${cursor && `&cursor=${cursor}`}`)
    seen.push(...page.items.map(({ id }) => id))
    cursor = page.nextCursor
  }
  expect(seen).toEqual(all.map(({ id }) => id))
  const refused = await user.ask('/api/api-keys?cursor=nonsense', { as: admin })
  expect([refused.statusCode, refused.json().code]).toEqual([400, 'cursor-invalid'])
})

describe('a caller who is not an administrator', () => {
  const customer: Identity = { role: 'customer', userId: randomUUID(), session: 'of-a-customer' }
  const calls = [
    ['POST', '/api/api-keys'],
    ['GET', '/api/api-keys'],
    ['POST', '/api/api-keys/k7Tq3ZpA/rotate'],
    ['DELETE', '/api/api-keys/k7Tq3ZpA'],
  ] as const
  test.each(calls)('is refused %s %s: 401 as a guest, 403 as a customer', async (method, url) => {
    const body = method === 'POST' ? { body: example } : {}
    const [guest, other] = [
      await user.ask(url, { method, ...body }),
      await user.ask(url, { as: customer, method, ...body }),
    ]
    expect([guest.statusCode, guest.json().code]).toEqual([401, 'sign-in-required'])
    expect([other.statusCode, other.json().code]).toEqual([403, 'admin-only'])
  })
})

test('the log names the key and the administrator, and never a token', async () => {
  const issued = await issue()
  const rotated = (await rotate(issued.apiKey.id)).json<IssuedApiKey>()
  await revoke(issued.apiKey.id)
  const log = user.lines.map((line) => JSON.stringify(line)).join('\n')
  for (const words of ['API key issued', 'API key rotated', 'API key revoked']) expect(log).toContain(words)
  expect(log).toContain(`"apiKeyId":"${issued.apiKey.id}","by":"${admin.userId}"`)
  for (const token of [issued.token, rotated.token]) expect(log).not.toContain(token.split('_')[2])
})
