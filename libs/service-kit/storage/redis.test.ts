/** What a service's log says of a Redis that does not suit it. */
import { setImmediate } from 'node:timers/promises'
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startRedis } from '@shop/test-kit/redis-server'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createHealth, redisProbe } from '../process/health.ts'
import { createLog } from '../telemetry/log.ts'
import { logRedisState, warnOfEviction } from './redis.ts'

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
  expect(lines[0]?.msg).toContain(`${role} redis misconfigured: maxmemory-policy is ${policy}, set ${wanted}`)
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

/** A service's log, and what it passes to its connections. */
function logged(role: 'cache' | 'state') {
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const log = createLog({ service: 'test', instanceId: 'test-1', destination })
  return { lines, onStateChange: logRedisState({ role, log }) }
}

it('a connection that is lost and restored is two lines, and none while all is well', async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const proxy = await startFaultProxy({ port: server.port })
  onTestFinished(() => proxy.stop())
  const { lines, onStateChange } = logged('state')
  const readers = [1, 2].map(() => connectRedis(proxy.url, { name: 'test-events', role: 'blocking', onStateChange }))
  onTestFinished(() => Promise.all(readers.map(closeRedis)).then(() => {}))
  for (const redis of readers) await whenReady(redis, 10_000)
  expect(lines).toEqual([])
  await proxy.refuse()
  await vi.waitFor(() => expect(lines).toHaveLength(1), 10_000)
  await proxy.heal()
  for (const redis of readers) await whenReady(redis, 10_000)
  await vi.waitFor(() => expect(lines.length).toBeGreaterThan(1), 10_000)
  expect(lines).toMatchObject([
    {
      level: 'warn',
      redis: 'state',
      connection: 'test-events',
      msg: expect.stringContaining('state redis connection lost: '),
    },
    { level: 'info', redis: 'state', connection: 'test-events', msg: 'state redis connection restored' },
  ])
})

it('a shop that has never worked says what to change, in its log and its health, and no password', async () => {
  const server = await startRedis({ password: 'right-password' })
  onTestFinished(() => server.stop())
  const { lines, onStateChange } = logged('state')
  const url = `redis://somebody:hunter2@127.0.0.1:${server.port}`
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 300, onStateChange })
  onTestFinished(() => closeRedis(redis))
  const health = createHealth([redisProbe('redis-state', redis, { required: true })])
  expect(await health.ready()).toMatchObject({
    status: 'unready',
    checks: [{ name: 'redis-state', error: 'WRONGPASS' }],
  })
  expect(lines).toMatchObject([{ level: 'error', redis: 'state', code: 'WRONGPASS' }])
  expect(lines[0]?.msg).toBe(
    'state redis connection not established: WRONGPASS invalid username-password pair or user is disabled; check user and password in REDIS_STATE_URL',
  )
  expect(JSON.stringify(lines)).not.toMatch(/hunter2|somebody|right-password/)
})
