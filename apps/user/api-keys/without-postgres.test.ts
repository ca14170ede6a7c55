/** API keys while Postgres is away: those in Redis go on working, the loop that writes them goes on and says so. */
import { randomUUID } from 'node:crypto'
import type { IssuedApiKey } from '@shop/contracts/api-key'
import type { Identity } from '@shop/contracts/identity'
import type { Problem } from '@shop/contracts/problem'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { keys } from '../keys.ts'
import { startUser } from '../user.fixture.ts'

vi.setConfig({ testTimeout: 60_000 })
const patience = { timeout: 20_000, interval: 50 }

const database = await testDatabase('user')
const toPostgres = await startFaultProxy({ port: Number(new URL(database.url).port) })
const user = await startUser({ DATABASE_URL: toPostgres.via(database.url) })
const redis = connectRedis(user.redis.url, { name: 'test' })
afterEach(() => toPostgres.heal())
afterAll(async () => {
  await Promise.all([closeRedis(redis), user.stop()])
  await toPostgres.stop()
})

const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'of-an-admin' }
const body = { name: 'Partner', scopes: ['products:read'], quota: { perMinute: 60, perDay: 1_000 } }
const path = '/api/api-keys'
const issue = () => user.ask(path, { as: admin, method: 'POST', body })
const revoke = (id: string) => user.ask(`${path}/${id}`, { as: admin, method: 'DELETE' })
const works = async (id: string) => (await redis.hexists(keys.apiKeys.key.key(id), 'digest')) === 1
async function isLoopWell() {
  const { checks } = (await user.ask('/health/ready')).json<{ checks: { name: string; ok: boolean }[] }>()
  return checks.find(({ name }) => name === 'loop:api-keys')?.ok
}

test('while Postgres is away keys work and changes are 503; then the loop goes on', async () => {
  const { apiKey } = (await issue()).json<IssuedApiKey>()
  await toPostgres.refuse()
  const answers = await Promise.all([
    issue(),
    user.ask(path, { as: admin }),
    user.ask(`${path}/${apiKey.id}/rotate`, { as: admin, method: 'POST' }),
    revoke(apiKey.id),
  ])
  expect(answers.map((answer) => [answer.statusCode, answer.json<Problem>().code])).toEqual(
    answers.map(() => [503, 'dependency-unavailable']),
  )
  await vi.waitFor(async () => expect(await isLoopWell()).toBe(false), patience)
  expect(await works(apiKey.id)).toBe(true)
  await toPostgres.heal()
  await vi.waitFor(async () => expect(await isLoopWell()).toBe(true), patience)
  await vi.waitFor(async () => expect((await revoke(apiKey.id)).statusCode).toBe(204), patience)
  expect(await works(apiKey.id)).toBe(false)
})

test('a revocation whose commit was not heard of is 503, and the key ends all the same', async () => {
  const { apiKey } = (await issue()).json<IssuedApiKey>()
  const cut = toPostgres.cutAfterNextRequest(/UPDATE.*revoked_at/s)
  expect((await revoke(apiKey.id)).statusCode).toBe(503)
  await cut
  await vi.waitFor(async () => expect(await works(apiKey.id)).toBe(false), patience)
})
