/** What a service's log says of a Redis that does not suit it. */
import { setImmediate } from 'node:timers/promises'
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/client'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startRedis } from '@shop/test-kit/redis-server'
import { expect, it, onTestFinished } from 'vitest'
import { createLog } from './log.ts'
import { warnOfEviction } from './redis.ts'

/** A service's connection to a server with this policy, and the lines of its log. */
async function setUp(role: 'cache' | 'state', policy: string) {
  const server = await startRedis({ config: { 'maxmemory-policy': policy } })
  onTestFinished(() => server.stop())
  const proxy = await startFaultProxy({ port: server.port })
  onTestFinished(() => proxy.stop())
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const redis = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  warnOfEviction(redis, { role, log: createLog({ service: 'test', instanceId: 'test-1', destination }) })
  await whenReady(redis, 10_000)
  const admin = connectRedis(server.url, { name: 'admin', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(admin))
  return { redis, proxy, lines, admin }
}

/** Answers come in order: this one behind those that were asked for when the connection was ready. */
async function answered(redis: Redis) {
  await redis.ping()
  await setImmediate()
}

it.each([
  ['cache', 'noeviction', 'one that evicts, best allkeys-lfu'],
  ['state', 'allkeys-lfu', 'noeviction'],
] as const)('a %s server with %s is warned of, with what to set', async (role, policy, wanted) => {
  const { lines, redis } = await setUp(role, policy)
  await answered(redis)
  expect(lines).toMatchObject([{ level: 'warn', role, policy, wanted }])
  expect(lines[0]?.msg).toContain(`the ${role} Redis has maxmemory-policy ${policy}, set ${wanted}`)
})

it.each([
  ['cache', 'allkeys-lfu'],
  ['state', 'noeviction'],
] as const)('of a %s server with %s there is nothing to say', async (role, policy) => {
  const { lines, redis } = await setUp(role, policy)
  await answered(redis)
  expect(lines).toEqual([])
})

it('says it once, however often the connection is lost, and again when it has become another policy', async () => {
  const { lines, admin, proxy, redis } = await setUp('cache', 'noeviction')
  await answered(redis)
  await loseConnection()
  expect(lines).toHaveLength(1)
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lfu')
  await loseConnection()
  expect(lines).toHaveLength(1)
  await admin.config('SET', 'maxmemory-policy', 'noeviction')
  await loseConnection()
  expect(lines).toHaveLength(2)

  async function loseConnection() {
    const isBack = new Promise((resolve) => redis.once('ready', resolve))
    proxy.cut()
    await isBack
    await answered(redis)
  }
})
