import { fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber, type Subscriber, whenReady } from '../connection/connection.ts'
import { createBalancer } from './balancer.ts'
import {
  createDirectory,
  createRegistration,
  createRegistry,
  type DirectoryOptions,
  discoveryKeys,
  type Instance,
} from './discovery.ts'

const TTL_MS = 900
const RESYNC_MS = 600
const server = await testRedis()
const quickly = { interval: 5, timeout: 10_000 }

/** A port that accepts connections until it is closed. */
async function openPort() {
  const listener = createServer((socket) => socket.destroy())
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  onTestFinished(() => void listener.close())
  return { port: (listener.address() as AddressInfo).port, close: () => void listener.close() }
}

async function accepts({ host, port }: Instance, signal: AbortSignal) {
  const socket = connect({ host, port })
  const accepted = await once(socket, 'connect', { signal }).then(
    () => true,
    () => false,
  )
  socket.destroy()
  return accepted
}

/** One side of the registry: instances that listen and beat, on a Redis connection of their own. */
async function instanceSide(url: string, namespace: string, ttlMs = TTL_MS) {
  const redis = connectRedis(url, { name: 'instances' })
  onTestFinished(() => closeRedis(redis))
  const registry = createRegistry(redis, { keys: discoveryKeys(namespace), ttlMs })
  const register = async (id: string) => {
    const { port, close } = await openPort()
    const record = { id, service: 'catalog', host: '127.0.0.1', port, startedAtMs: 1 }
    const registration = createRegistration(registry, record)
    onTestFinished(() => registration.leave())
    await registration.start()
    const leave = () => registration.leave().then(close)
    return { leave, close }
  }
  return { redis, registry, register }
}

/** The other side: a directory, and every list of instances it has ever shown. */
async function callerSide(
  url: string,
  namespace: string,
  { ttlMs = TTL_MS, ...options }: Partial<DirectoryOptions> & { ttlMs?: number } = {},
  wrap: (subscriber: Subscriber) => Subscriber = (subscriber) => subscriber,
) {
  const redis = connectRedis(url, { name: 'caller', commandTimeoutMs: 300 })
  const subscriber = connectSubscriber(url, { name: 'caller' })
  const registry = createRegistry(redis, { keys: discoveryKeys(namespace), ttlMs })
  const directory = createDirectory(registry, wrap(subscriber), {
    services: ['catalog'],
    answers: accepts,
    resyncMs: RESYNC_MS,
    ...options,
  })
  const shown: string[] = []
  directory.onChange((_, instances) => shown.push(idsOf(instances)))
  onTestFinished(async () => {
    await directory.close()
    await subscriber.close()
    await closeRedis(redis)
  })
  return { directory, shown, ids: () => idsOf(directory.instances('catalog')) }
}

function idsOf(instances: readonly Instance[]) {
  return instances
    .map(({ id }) => id)
    .sort()
    .join('')
}

async function proxied(url: string) {
  const proxy = await startFaultProxy({ port: Number(new URL(url).port) })
  onTestFinished(() => proxy.stop())
  return proxy
}

test('whoever registered before and whoever registers later is known', async () => {
  const namespace = server.namespace()
  const { register } = await instanceSide(server.url, namespace)
  await register('a')
  const { directory, ids } = await callerSide(server.url, namespace)
  await directory.start()
  expect([ids(), directory.isDegraded()]).toEqual(['a', false])
  await register('b')
  await vi.waitFor(() => expect(ids()).toBe('ab'), quickly)
})

test('a goodbye is known within 100 ms', async () => {
  const namespace = server.namespace()
  const { register } = await instanceSide(server.url, namespace)
  const leaving = await register('a')
  await register('b')
  const { directory, ids } = await callerSide(server.url, namespace, { resyncMs: 60_000 })
  await directory.start()
  await leaving.leave()
  const leftMs = performance.now()
  await vi.waitFor(() => expect(ids()).toBe('b'), { interval: 1, timeout: 2_000 })
  expect(performance.now() - leftMs).toBeLessThan(100)
})

test('the answer is the same array until something changes', async () => {
  const namespace = server.namespace()
  const { register } = await instanceSide(server.url, namespace)
  await register('a')
  const { directory, shown } = await callerSide(server.url, namespace, { resyncMs: 50 })
  await directory.start()
  const first = directory.instances('catalog')
  await new Promise((resolve) => setTimeout(resolve, 300)) // several looks
  expect(directory.instances('catalog')).toBe(first)
  expect(shown).toEqual(['a'])
})

test('a service that the directory was not told about is a mistake', async () => {
  const { directory } = await callerSide(server.url, server.namespace())
  expect(() => directory.instances('basket')).toThrow(TypeError)
})

test('a lost hint is made up for when the next one shows the hole', async () => {
  const namespace = server.namespace()
  const { register } = await instanceSide(server.url, namespace)
  const leaving = await register('a')
  let isLosing = false
  const lossy = (subscriber: Subscriber): Subscriber => ({
    ...subscriber,
    subscribe: (channel, listener) =>
      subscriber.subscribe(channel, (message, from) => {
        if (isLosing) isLosing = false
        else listener(message, from)
      }),
  })
  const { directory, ids } = await callerSide(server.url, namespace, { resyncMs: 60_000 }, lossy)
  await directory.start()
  isLosing = true
  await leaving.leave() // not heard
  await register('b')
  await vi.waitFor(() => expect(ids()).toBe('b'), quickly)
})

test('what was missed while the subscription was cut is made up for', async () => {
  const namespace = server.namespace()
  const { register } = await instanceSide(server.url, namespace)
  const [leaving] = [await register('a'), await register('b'), await register('c')]
  const proxy = await proxied(server.url)
  const { directory, ids } = await callerSide(proxy.via(server.url), namespace, { resyncMs: 60_000 })
  await directory.start()
  await proxy.refuse()
  await leaving.leave()
  await register('d')
  await proxy.heal()
  await vi.waitFor(() => expect(ids()).toBe('bcd'), quickly)
})

test('Redis away for many TTLs fails no pick, and the directory says that it is degraded', async () => {
  const namespace = server.namespace()
  const proxy = await proxied(server.url)
  // Longer than the pause between two attempts to connect, as it has to be: who is not back within a lifetime is gone.
  const ttlMs = 3_000
  const { register } = await instanceSide(proxy.via(server.url), namespace, ttlMs)
  for (const id of ['a', 'b', 'c']) await register(id)
  const { directory, ids, shown } = await callerSide(proxy.via(server.url), namespace, { ttlMs })
  await directory.start()
  const balancer = createBalancer({ instances: () => directory.instances('catalog') })
  await proxy.refuse()
  const endMs = performance.now() + 4 * ttlMs
  let failedPicks = 0
  while (performance.now() < endMs) {
    const pick = balancer.pick()
    if (pick) pick.done('ok')
    else failedPicks++
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(failedPicks).toBe(0)
  expect(directory.isDegraded()).toBe(true)
  await proxy.heal()
  await vi.waitFor(() => expect([ids(), directory.isDegraded()]).toEqual(['abc', false]), {
    ...quickly,
    timeout: 15_000,
  })
  expect(shown.slice(shown.indexOf('abc'))).toEqual(['abc'])
}, 60_000)

test('a frozen Redis is an outage too: its silence removes nobody', async () => {
  const own = await startRedis()
  onTestFinished(() => own.stop())
  const { register } = await instanceSide(own.url, 'registry')
  for (const id of ['a', 'b', 'c']) await register(id)
  const { directory, ids, shown } = await callerSide(own.url, 'registry')
  await directory.start()
  await vi.waitFor(() => expect(ids()).toBe('abc'), quickly)
  const from = shown.length
  await own.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 4_000))
  await own.kill('SIGCONT')
  await vi.waitFor(() => expect(directory.isDegraded()).toBe(false), quickly)
  expect([ids(), shown.slice(from)]).toEqual(['abc', []])
}, 30_000)

test.each(['a', 'ab', 'abcde'])(
  'a registry that loses its keys is whole again within one beat, and a caller of %s loses none',
  async (all) => {
    const namespace = server.namespace()
    const keys = discoveryKeys(namespace)
    const { register, registry } = await instanceSide(server.url, namespace)
    for (const id of all) await register(id)
    const { directory, ids, shown } = await callerSide(server.url, namespace, { resyncMs: 60 })
    await directory.start()
    const from = shown.length
    const plain = server.connect()
    for (let loss = 0; loss < 3; loss++) {
      await plain.del(...[keys.expiry, keys.records, keys.rev].map((family) => family.key('catalog')))
      await vi.waitFor(async () => expect((await registry.list('catalog')).instances).toHaveLength(all.length), quickly)
    }
    await vi.waitFor(() => expect([ids(), directory.isDegraded()]).toEqual([all, false]), quickly)
    expect(shown.slice(from)).toEqual([])
  },
)

test('a Redis that restarts empty is whole again within a beat of its return, and no caller sees it empty', async () => {
  const own = await startRedis()
  onTestFinished(() => own.stop())
  const { register, redis, registry } = await instanceSide(own.url, 'registry')
  for (const id of ['a', 'b', 'c']) await register(id)
  const { directory, ids, shown } = await callerSide(own.url, 'registry')
  await directory.start()
  await vi.waitFor(() => expect(ids()).toBe('abc'), quickly)
  const from = shown.length
  await own.kill('SIGKILL')
  await own.restart()
  await whenReady(redis, 5_000)
  await vi.waitFor(async () => expect((await registry.list('catalog')).instances).toHaveLength(3), quickly)
  await vi.waitFor(() => expect([ids(), directory.isDegraded()]).toEqual(['abc', false]), quickly)
  expect(shown.slice(from)).toEqual([])
}, 30_000)

test('instances that died during an outage are removed when it is over', async () => {
  const namespace = server.namespace()
  const proxy = await proxied(server.url)
  const { register } = await instanceSide(server.url, namespace)
  const { register: registerMortal, redis: mortals } = await instanceSide(server.url, namespace)
  await register('a')
  const mortal = []
  for (const id of ['b', 'c', 'd']) mortal.push(await registerMortal(id))
  const { directory, ids } = await callerSide(proxy.via(server.url), namespace)
  await directory.start()
  await proxy.refuse()
  for (const { close } of mortal) close()
  await closeRedis(mortals) // three of four beat no more
  await new Promise((resolve) => setTimeout(resolve, TTL_MS))
  await proxy.heal()
  await vi.waitFor(() => expect([ids(), directory.isDegraded()]).toEqual(['a', false]), quickly)
})

test('a start while Redis is away resolves, and the instances are known when it is back', async () => {
  const namespace = server.namespace()
  const { register } = await instanceSide(server.url, namespace)
  await register('a')
  const proxy = await proxied(server.url)
  await proxy.refuse()
  const { directory, ids } = await callerSide(proxy.via(server.url), namespace)
  await directory.start()
  expect([ids(), directory.isDegraded()]).toEqual(['', true])
  await proxy.heal()
  await vi.waitFor(() => expect([ids(), directory.isDegraded()]).toEqual(['a', false]), quickly)
})

test('a closed directory looks no more', async () => {
  const namespace = server.namespace()
  const { register } = await instanceSide(server.url, namespace)
  const { directory, ids } = await callerSide(server.url, namespace, { resyncMs: 30 })
  await directory.start()
  await directory.close()
  await register('a')
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(ids()).toBe('')
})

/** A process of its own that registers; see instance.fixture.ts. */
async function childInstance(namespace: string, id: string) {
  const child = fork(fileURLToPath(new URL('./instance.fixture.ts', import.meta.url)), {
    env: { REDIS_URL: server.url, NAMESPACE: namespace, INSTANCE_ID: id, TTL_MS: String(TTL_MS) },
    execArgv: [],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  expect((await once(child, 'message'))[0]).toBe('registered')
  return child
}

test('a killed process is off the list after the TTL and one look, also when nobody else beats', async () => {
  const namespace = server.namespace()
  const child = await childInstance(namespace, 'a')
  const { directory, ids } = await callerSide(server.url, namespace)
  await directory.start()
  expect(ids()).toBe('a')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const killedMs = performance.now()
  await vi.waitFor(() => expect(ids()).toBe(''), quickly)
  expect(performance.now() - killedMs).toBeLessThan(TTL_MS + RESYNC_MS + 150)
})

test('a killed process is not picked again after the first refused connection', async () => {
  const namespace = server.namespace()
  const [victim] = await Promise.all(['a', 'b', 'c'].map((id) => childInstance(namespace, id)))
  const { directory, ids } = await callerSide(server.url, namespace)
  await directory.start()
  await vi.waitFor(() => expect(ids()).toBe('abc'), quickly)
  const balancer = createBalancer({ instances: () => directory.instances('catalog') }, { policy: 'round-robin' })
  victim?.kill('SIGKILL')
  if (victim) await once(victim, 'exit')
  let refused = 0
  const endMs = performance.now() + 500 // the list still names it; the balancer's first ejection lasts a second
  while (performance.now() < endMs) {
    const pick = balancer.pick()
    if (!pick) throw new Error('nobody was picked')
    const socket = connect(pick.instance.port, pick.instance.host)
    const outcome = await once(socket, 'connect').then(
      () => 'ok' as const,
      () => 'unreachable' as const,
    )
    socket.destroy()
    pick.done(outcome)
    if (outcome === 'unreachable') refused++
  }
  expect(refused).toBe(1)
})

test('a process that is asked to stop gets no call 100 ms after its goodbye', async () => {
  const namespace = server.namespace()
  const [leaving] = await Promise.all(['a', 'b'].map((id) => childInstance(namespace, id)))
  const { directory, ids } = await callerSide(server.url, namespace, { resyncMs: 60_000 })
  await directory.start()
  await vi.waitFor(() => expect(ids()).toBe('ab'), quickly)
  leaving?.kill('SIGTERM')
  if (leaving) expect((await once(leaving, 'message'))[0]).toBe('left')
  const leftMs = performance.now()
  await vi.waitFor(() => expect(ids()).toBe('b'), { interval: 1, timeout: 2_000 })
  expect(performance.now() - leftMs).toBeLessThan(100)
})
