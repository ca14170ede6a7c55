import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber } from '../connection/connection.ts'
import { createRegistry, discoveryKeys, type Instance } from './discovery.ts'

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return { id, service: 'catalog', host: '10.0.0.1', port: 3000, startedAtMs: 1, ...more }
}

describe.for(['standalone', 'cluster'] as const)('the registry on %s', async (topology) => {
  const server = await testRedis({ topology })

  function setUp({ ttlMs = 6_000, namespace = server.namespace() } = {}) {
    const redis = connectRedis(server.url, { name: 'discovery-test', commandTimeoutMs: 2_000 })
    onTestFinished(() => closeRedis(redis))
    const keys = discoveryKeys(namespace)
    return { namespace, keys, registry: createRegistry(redis, { keys, ttlMs }) }
  }

  /** Everything told on the service's channel from now on. */
  async function hearHints(channel: string) {
    const subscriber = connectSubscriber(server.url, { name: 'discovery-test', commandTimeoutMs: 2_000 })
    onTestFinished(() => subscriber.close())
    const hints: string[] = []
    await subscriber.subscribe(channel, (message) => hints.push(message))
    return hints
  }

  /** Instances whose last beat has run out, and which nobody has removed yet. */
  async function beatAndFallSilent({ registry, keys }: ReturnType<typeof setUp>, ...ids: string[]) {
    const plain = server.connect()
    for (const id of ids) {
      await registry.beat('catalog', instance(id), 0)
      await plain.zadd(keys.expiry.key('catalog'), 1, id)
    }
  }

  test('a beat registers everything there is to know, and a list gives it back', async () => {
    const { registry } = setUp()
    const record = instance('a', { internalPort: 9100, version: '1.2.3', weight: 3, zone: 'eu-1a' })
    const beat = await registry.beat('catalog', record, 0)
    expect(beat).toMatchObject({ status: 'accepted' })
    expect((await registry.list('catalog')).instances).toEqual([record])
    expect(await registry.list('order')).toMatchObject({ rev: 0, instances: [] })
  })

  test('an instance that falls silent is off the list once its beat has run out', async () => {
    const { registry, namespace } = setUp()
    const { registry: brief } = setUp({ ttlMs: 200, namespace })
    await brief.beat('catalog', instance('silent'), 0)
    await registry.beat('catalog', instance('lively'), 0)
    expect((await registry.list('catalog')).instances).toHaveLength(2)
    await vi.waitFor(async () => {
      expect((await registry.list('catalog')).instances.map(({ id }) => id)).toEqual(['lively'])
    })
  })

  test('a later registration of the same id outranks the earlier one, whose beats and goodbye are refused', async () => {
    const { registry } = setUp()
    const first = await registry.beat('catalog', instance('a', { port: 1 }), 0)
    const second = await registry.beat('catalog', instance('a', { port: 2 }), 0)
    if (first.status !== 'accepted' || second.status !== 'accepted') throw new Error('refused')
    expect(second.incarnation).toBeGreaterThan(first.incarnation)
    expect(await registry.beat('catalog', instance('a', { port: 1 }), first.incarnation)).toEqual({
      status: 'superseded',
    })
    expect(await registry.leave('catalog', 'a', first.incarnation)).toBe(false)
    expect((await registry.list('catalog')).instances).toMatchObject([{ port: 2 }])
    expect(await registry.leave('catalog', 'a', second.incarnation)).toBe(true)
    expect((await registry.list('catalog')).instances).toEqual([])
  })

  test('changes are told with consecutive numbers, beats that change nothing are not told', async () => {
    const { registry } = setUp()
    const hints = await hearHints(registry.channel('catalog'))
    const beat = await registry.beat('catalog', instance('a'), 0)
    if (beat.status !== 'accepted') throw new Error('refused')
    for (let time = 0; time < 5; time++) await registry.beat('catalog', instance('a'), beat.incarnation)
    await registry.beat('catalog', instance('a', { weight: 2 }), beat.incarnation)
    await registry.leave('catalog', 'a', beat.incarnation)
    await vi.waitFor(() => expect(hints).toHaveLength(3))
    expect(hints).toEqual([
      `${beat.rev} up ${JSON.stringify(instance('a'))}`,
      `${beat.rev + 1} up ${JSON.stringify(instance('a', { weight: 2 }))}`,
      `${beat.rev + 2} left a`,
    ])
  })

  test('a beat removes up to 16 of the silent, and tells of each', async () => {
    const { registry, keys } = setUp()
    const plain = server.connect()
    const ids = Array.from({ length: 20 }, (_, index) => `silent-${index}`)
    await Promise.all(ids.map((id) => registry.beat('catalog', instance(id), 0)))
    const hints = await hearHints(registry.channel('catalog'))
    const beat = await registry.beat('catalog', instance('lively'), 0)
    if (beat.status !== 'accepted') throw new Error('refused')
    await vi.waitFor(() => expect(hints.at(-1)).toContain('lively'))
    hints.length = 0
    await plain.zadd(keys.expiry.key('catalog'), ...ids.flatMap((id) => [1, id]))
    await registry.beat('catalog', instance('lively'), beat.incarnation)
    await vi.waitFor(() => expect(hints).toHaveLength(16))
    await registry.beat('catalog', instance('lively'), beat.incarnation)
    await vi.waitFor(() => expect(hints).toHaveLength(20))
    const revs = hints.map((hint) => Number.parseInt(hint, 10))
    expect(hints.map((hint) => hint.replace(/^\d+ /, '')).sort()).toEqual(ids.map((id) => `gone ${id}`).sort())
    expect(revs).toEqual(revs.map((_, index) => (revs[0] ?? 0) + index))
  })

  test('one that was silent and beats again is told as up, though nobody had removed it', async () => {
    const world = setUp()
    const { registry } = world
    await beatAndFallSilent(world, 'a')
    const { rev, instances } = await registry.list('catalog')
    expect(instances).toEqual([])
    const hints = await hearHints(registry.channel('catalog'))
    await registry.beat('catalog', instance('a'), 0)
    await vi.waitFor(() => expect(hints).toHaveLength(1))
    expect(hints[0]).toContain(' up ')
    expect((await registry.listSince('catalog', rev))?.instances).toHaveLength(1)
  })

  test('nothing new is answered in one word, but not while somebody silent is still in the registry', async () => {
    const world = setUp()
    const { registry } = world
    await registry.beat('catalog', instance('a'), 0)
    const { rev } = await registry.list('catalog')
    expect(await registry.listSince('catalog', rev)).toBeUndefined()
    await beatAndFallSilent(world, 'b')
    const later = await registry.list('catalog')
    expect(await registry.listSince('catalog', later.rev)).toMatchObject({ instances: [{ id: 'a' }] })
  })

  test('the numbers go on after the registry has lost its data', async () => {
    const { registry, keys } = setUp()
    for (let time = 0; time < 10; time++) await registry.beat('catalog', instance('a', { weight: time }), 0)
    const { rev } = await registry.list('catalog')
    await server.connect().del(keys.rev.key('catalog'), keys.records.key('catalog'), keys.expiry.key('catalog'))
    await registry.beat('catalog', instance('a'), 0)
    expect((await registry.list('catalog')).rev).toBeGreaterThan(rev)
  })

  test('no key outlives an hour without a beat, and none runs out between beats', async () => {
    const { registry, keys } = setUp({ ttlMs: 1_000 })
    const beat = await registry.beat('catalog', instance('a'), 0)
    await registry.beat('catalog', instance('b'), 0)
    if (beat.status === 'accepted') await registry.leave('catalog', 'a', beat.incarnation)
    const plain = server.connect()
    for (const family of [keys.rev, keys.records, keys.expiry]) {
      const ttlMs = await plain.pttl(family.key('catalog'))
      expect(ttlMs).toBeGreaterThan(3_500_000)
      expect(ttlMs).toBeLessThanOrEqual(3_600_000)
    }
  })

  test('a record that is none is refused where it is made, and overlooked where it is read', async () => {
    const { registry, keys } = setUp()
    for (const bad of [
      instance('a b'),
      instance(''),
      instance('a', { port: 0 }),
      instance('a', { zone: 'z'.repeat(5_000) }),
    ]) {
      await expect(registry.beat('catalog', bad, 0)).rejects.toThrow(TypeError)
    }
    await registry.beat('catalog', instance('good'), 0)
    await registry.beat('catalog', instance('strange'), 0)
    await server.connect().hset(keys.records.key('catalog'), 'strange', '1 {"not":"a record"}')
    expect((await registry.list('catalog')).instances).toMatchObject([{ id: 'good' }])
  })
})

test('a listing of a thousand instances takes the server under 5 ms, with a hundred thousand other keys as with none', async () => {
  const server = await startRedis({ config: { 'enable-debug-command': 'local' } })
  onTestFinished(() => server.stop())
  const redis = connectRedis(server.url, { name: 'discovery-test', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  const operator = new Redis(server.url)
  onTestFinished(() => operator.disconnect())
  const registry = createRegistry(redis, { keys: discoveryKeys(), ttlMs: 60_000 })
  await Promise.all(Array.from({ length: 1_000 }, (_, index) => registry.beat('catalog', instance(`i${index}`), 0)))
  const { rev } = await registry.list('catalog')

  /** Of the best of ten rounds: what the others on this machine do is not the script's time. */
  async function microseconds(work: () => Promise<unknown>) {
    const rounds: number[] = []
    for (let round = 0; round < 10; round++) {
      await redis.call('CONFIG', 'RESETSTAT')
      for (let time = 0; time < 5; time++) await work()
      const stats = /cmdstat_evalsha:.*?usec_per_call=([\d.]+)/.exec(await redis.info('commandstats'))
      rounds.push(Number(stats?.[1]))
    }
    return Math.min(...rounds)
  }
  const alone = await microseconds(() => registry.list('catalog'))
  const unchanged = await microseconds(() => registry.listSince('catalog', rev))
  await operator.call('DEBUG', 'POPULATE', '100000')
  const crowded = await microseconds(() => registry.list('catalog'))
  expect((await registry.list('catalog')).instances).toHaveLength(1_000)
  expect(Math.max(alone, crowded)).toBeLessThan(5_000)
  // A search through all keys would take fifty times as long.
  expect(crowded).toBeLessThan(alone * 10)
  expect(unchanged).toBeLessThan(alone / 5)
})
