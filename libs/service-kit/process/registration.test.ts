import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createRegistry, discoveryKeys, type Instance } from '@shop/redis-kit/discovery'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { createLog } from '../telemetry/log.ts'
import { createHealth } from './health.ts'
import { register } from './registration.ts'

const redis = await testRedis({ allowImmortal: () => true })
const lines: string[] = []
const log = createLog({ service: 'test', instanceId: '1', destination: { write: (line) => void lines.push(line) } })

afterEach(() => {
  lines.length = 0
})

/** An instance whose way to Redis can be broken, and a registry that looks on by another way. */
async function instance(id: string, { service = redis.namespace(), ttlMs = 600, reachable = true } = {}) {
  const proxy = await startFaultProxy({ port: Number(new URL(redis.url).port) })
  if (!reachable) await proxy.refuse()
  const keys = discoveryKeys(service)
  const connection = connectRedis(proxy.via(redis.url), { name: id, commandTimeoutMs: 100 })
  const onlooker = connectRedis(redis.url, { name: 'onlooker' })
  onTestFinished(async () => {
    await Promise.all([closeRedis(connection), closeRedis(onlooker)])
    await proxy.stop()
  })
  const health = createHealth([], { cacheMs: 0 })
  const onSuperseded = vi.fn()
  const record: Instance = { id, service: 'things', host: '127.0.0.1', port: 1234, internalPort: 4321, startedAtMs: 1 }
  const registry = createRegistry(connection, { keys, ttlMs })
  const found = async () =>
    (await createRegistry(onlooker, { keys, ttlMs }).list('things')).instances.map((one) => one.id)
  const options = { registry, instance: record, health, log, isHealthy: () => true, onSuperseded }
  return { proxy, health, onSuperseded, found, service, options }
}

test('without a registry there is nothing to do', async () => {
  const { options } = await instance('a')
  const { leave } = await register({ ...options, registry: undefined })
  await leave()
  expect((await options.health.ready()).checks).toEqual([])
})

test('an instance is found once it is registered, is ready, and is not found once it left', async () => {
  const { found, health, options } = await instance('a')
  const { leave } = await register(options)
  expect(await found()).toEqual(['a'])
  expect(await health.ready()).toMatchObject({ status: 'ready', checks: [{ name: 'registry', ok: true }] })
  await leave()
  expect(await found()).toEqual([])
})

test('a registry that is away does not hold up the start, and is made up for when it is back', async () => {
  const { proxy, found, options } = await instance('a', { reachable: false })
  const startedAtMs = performance.now()
  const { leave } = await register(options)
  expect(performance.now() - startedAtMs).toBeLessThan(1_500)
  expect(await found()).toEqual([])
  await proxy.heal()
  await expect.poll(found, { timeout: 5_000 }).toEqual(['a'])
  await leave()
})

test('an instance whose heartbeats do not arrive is degraded until they do, because callers ask it and go on', async () => {
  const { proxy, health, options } = await instance('a')
  const { leave } = await register(options)
  await proxy.refuse()
  await expect
    .poll(() => health.ready(), { timeout: 5_000 })
    .toMatchObject({ status: 'degraded', checks: [{ error: 'FENCED' }] })
  await proxy.heal()
  await expect.poll(() => health.ready(), { timeout: 5_000 }).toMatchObject({ status: 'ready' })
  await leave()
})

test('leaving a registry that is away takes no longer than its patience', async () => {
  const { proxy, options } = await instance('a')
  const { leave } = await register(options)
  proxy.blackHole()
  const startedAtMs = performance.now()
  await leave()
  expect(performance.now() - startedAtMs).toBeLessThan(1_500)
})

test('an instance whose name another one took is told to stop, and its leaving does not remove the other', async () => {
  // A lifetime that no pause of a busy machine exceeds: an instance that was taken for dead may come back, and take the name again.
  const first = await instance('a', { ttlMs: 6_000 })
  const { leave } = await register(first.options)
  const second = await instance('a', { service: first.service, ttlMs: 6_000 })
  const { leave: leaveSecond } = await register(second.options)
  await expect.poll(() => first.onSuperseded.mock.calls.length, { timeout: 15_000 }).toBe(1)
  await leave()
  expect(await first.found()).toEqual(['a'])
  expect(second.onSuperseded).not.toHaveBeenCalled()
  await leaveSecond()
})

test('an instance that is not well is not kept alive in the registry', async () => {
  const { found, options } = await instance('a')
  let isHealthy = true
  const { leave } = await register({ ...options, isHealthy: () => isHealthy })
  expect(await found()).toEqual(['a'])
  isHealthy = false
  await expect.poll(found, { timeout: 5_000 }).toEqual([])
  isHealthy = true
  await expect.poll(found, { timeout: 5_000 }).toEqual(['a'])
  await leave()
})
