import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis } from '../connection/connection.ts'
import {
  createRegistration,
  createRegistry,
  discoveryKeys,
  type Instance,
  type Registration,
  type RegistrationOptions,
  type Registry,
} from './discovery.ts'

const TTL_MS = 1_200
const server = await testRedis()

const instance: Instance = { id: 'a', service: 'catalog', host: '10.0.0.1', port: 3000, startedAtMs: 1 }
const quickly = { interval: 20, timeout: 10_000 }

/** A registration through a proxy that can break, and a registry beside it that sees what really is. */
async function setUp() {
  const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) })
  onTestFinished(() => proxy.stop())
  const keys = discoveryKeys(server.namespace())
  const through = connectRedis(proxy.via(server.url), { name: 'registration-test', commandTimeoutMs: 300 })
  const beside = connectRedis(server.url, { name: 'registration-test', commandTimeoutMs: 2_000 })
  onTestFinished(() => Promise.all([closeRedis(through), closeRedis(beside)]).then(() => {}))
  const registry = createRegistry(through, { keys, ttlMs: TTL_MS })
  const truth = createRegistry(beside, { keys, ttlMs: TTL_MS })
  const listed = async () => (await truth.list('catalog')).instances.map(({ id }) => id)
  return { proxy, registry, truth, listed }
}

/** Says how many beats were tried; the registry itself is real. */
function counted(registry: Registry) {
  const counter = { beatCount: 0 }
  const counting: Registry = {
    ...registry,
    beat(...args) {
      counter.beatCount++
      return registry.beat(...args)
    },
  }
  return { registry: counting, counter }
}

function registrationOf(registry: Registry, options?: RegistrationOptions, record = instance): Registration {
  const registration = createRegistration(registry, record, options)
  onTestFinished(() => registration.leave())
  return registration
}

async function throughout(forMs: number, check: () => Promise<void> | void) {
  const endMs = performance.now() + forMs
  while (performance.now() < endMs) {
    await check()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

test('an instance is listed for as long as it beats', async () => {
  const { registry, listed } = await setUp()
  await registrationOf(registry).start()
  await throughout(2 * TTL_MS, async () => expect(await listed()).toEqual(['a']))
})

test('control: after a single beat it is not', async () => {
  const { registry, listed } = await setUp()
  await registry.beat('catalog', instance, 0)
  await vi.waitFor(async () => expect(await listed()).toEqual([]), quickly)
})

test('beats are at most a third of the TTL apart and not in step', async () => {
  const { registry } = await setUp()
  const timesMs: number[] = []
  const timed: Registry = {
    ...registry,
    beat(...args) {
      timesMs.push(performance.now())
      return registry.beat(...args)
    },
  }
  await registrationOf(timed).start()
  // So many that it is no accident when they differ: a dozen gaps of 280 to 400 ms.
  await vi.waitFor(() => expect(timesMs.length).toBeGreaterThan(12), { ...quickly, timeout: 20_000 })
  const gapsMs = timesMs.slice(1).map((timeMs, index) => timeMs - (timesMs[index] ?? 0))
  expect(Math.min(...gapsMs)).toBeGreaterThan((TTL_MS / 3) * 0.65)
  expect(new Set(gapsMs.map((gapMs) => Math.round(gapMs / 10))).size).toBeGreaterThan(3)
})

test('a goodbye waits for the beat that is under way, so that nothing brings the instance back', async () => {
  const { proxy, registry, listed } = await setUp()
  const registration = registrationOf(registry)
  const started = registration.start()
  await started
  proxy.delay(100)
  const slow = counted(registry)
  const second = registrationOf(slow.registry, {}, { ...instance, id: 'b' })
  const starting = second.start()
  const leaving = second.leave()
  await Promise.all([starting, leaving])
  expect(await listed()).toEqual(['a'])
  await throughout(2 * TTL_MS, async () => expect(await listed()).not.toContain('b'))
})

test('while Redis is away beats are dropped, not queued; afterwards the instance is listed within one beat', async () => {
  const { proxy, registry, listed } = await setUp()
  const { registry: counting, counter } = counted(registry)
  const fences: string[] = []
  const registration = registrationOf(counting, { onSelfFence: (reason) => fences.push(reason) })
  await registration.start()
  await proxy.refuse()
  await vi.waitFor(() => expect(registration.isFenced()).toBe(true), quickly)
  await vi.waitFor(() => expect(fences).toEqual(['silent']), quickly)
  await vi.waitFor(async () => expect(await listed()).toEqual([]), quickly)
  await proxy.heal()
  const before = counter.beatCount
  await vi.waitFor(async () => expect(await listed()).toEqual(['a']), quickly)
  expect(counter.beatCount - before).toBeLessThan(20) // dialling again takes up to two seconds; no burst
  await vi.waitFor(() => expect(registration.isFenced()).toBe(false), quickly)
  expect(fences).toEqual(['silent'])
})

test('a start while Redis is away resolves, and the instance is listed when Redis is back', async () => {
  const { proxy, registry, listed } = await setUp()
  await proxy.refuse()
  const registration = registrationOf(registry)
  await registration.start()
  expect(registration.isFenced()).toBe(false)
  await proxy.heal()
  await vi.waitFor(async () => expect(await listed()).toEqual(['a']), quickly)
})

test('one whose id was taken over stops for good and says so', async () => {
  const { registry, truth } = await setUp()
  const fences: string[] = []
  const { registry: counting, counter } = counted(registry)
  const first = registrationOf(counting, { onSelfFence: (reason) => fences.push(reason) })
  await first.start()
  const successor = registrationOf(registry, {}, { ...instance, port: 4000 })
  await successor.start()
  await vi.waitFor(() => expect(fences).toEqual(['superseded']), quickly)
  const { beatCount } = counter
  await first.leave()
  await throughout(2 * TTL_MS, async () =>
    expect((await truth.list('catalog')).instances).toMatchObject([{ port: 4000 }]),
  )
  expect([first.isFenced(), successor.isFenced(), counter.beatCount]).toEqual([true, false, beatCount])
})

test('an unhealthy instance leaves, and is back when it is well', async () => {
  const { registry, truth, listed } = await setUp()
  let isHealthy = true
  await registrationOf(registry, { healthy: () => isHealthy }).start()
  expect(await listed()).toEqual(['a'])
  isHealthy = false
  await vi.waitFor(async () => expect(await listed()).toEqual([]), quickly)
  expect((await truth.list('catalog')).overdue).toEqual([]) // it has left: no caller is to ask whether it is still there
  isHealthy = true
  await vi.waitFor(async () => expect(await listed()).toEqual(['a']), quickly)
})

test('an instance whose event loop lags does not beat', async () => {
  const { registry, listed } = await setUp()
  await registrationOf(registry, { maxLagMs: 20 }).start()
  const endMs = performance.now() + 2 * TTL_MS
  const hog = () => {
    const untilMs = performance.now() + 450 // longer than from beat to beat: every beat is late
    while (performance.now() < untilMs);
    if (performance.now() < endMs) setImmediate(hog)
  }
  setImmediate(hog)
  await vi.waitFor(async () => expect(await listed()).toEqual([]), quickly)
  await vi.waitFor(async () => expect(await listed()).toEqual(['a']), quickly)
})

test('a record that can never be registered fails the start', async () => {
  const { registry } = await setUp()
  await expect(registrationOf(registry, {}, { ...instance, id: 'not an id' }).start()).rejects.toThrow(TypeError)
})
