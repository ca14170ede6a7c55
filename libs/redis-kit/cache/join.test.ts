/**
 * Reads of one process share questions and loads. However the shared one ends, a read that begins after an invalidation has
 * resolved does not get the older value from it.
 */
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { type Cache, type CacheKeys, type CacheOptions, cacheKeys, createCache, LoadTimeout } from './cache.ts'
import { createSource, type Row } from './fixtures/source.ts'

const HOUR_MS = 3_600_000
const server = await testRedis()
const plain = server.connect()
const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 15_000, interval: 2 })

interface Scene {
  /** Its connection goes through the proxy. */
  reader: Cache<Row>
  /** Another process. */
  other: Cache<Row>
  source: ReturnType<typeof createSource>
  proxy: FaultProxy
  keys: CacheKeys
}

async function connect(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'join', commandTimeoutMs: 10_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}

async function setUp(options: Partial<CacheOptions<Row>> = {}): Promise<Scene> {
  const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) })
  onTestFinished(() => proxy.stop())
  const [near, far] = await Promise.all([connect(server.url), connect(proxy.via(server.url))])
  const keys = cacheKeys(server.namespace(), 'row')
  const common = { keys, ttlMs: HOUR_MS, deadlineMs: 9_000, leaseMs: 30_000, beta: 0 }
  const reader = createCache<Row>(far, { ...common, ...options })
  const other = createCache<Row>(near, common)
  onTestFinished(() => void Promise.all([reader.close(), other.close()]))
  onTestFinished(() => proxy.heal())
  const source = createSource()
  for (const id of ['warm', 'a']) source.write(id)
  await reader.get('warm', source.loader('warm')) // learns the server's clock
  return { reader, other, source, proxy, keys }
}

/** A read under way that has seen version 1, or is about to hand it out. */
interface Begun {
  early: Promise<unknown>
  /** Lets it end. */
  end(): unknown
}

interface Way {
  way: string
  options?: Partial<CacheOptions<Row>>
  begin(scene: Scene): Promise<Begun>
  /** What another process does meanwhile. @default writes and invalidates */
  write?(scene: Scene): Promise<unknown>
  /** The late read. @default get */
  read?(scene: Scene): Promise<{ value: Row | undefined } | undefined>
}

const get = ({ reader, source }: Scene, tags?: string[]) => reader.get('a', source.loader('a'), { tags })

/** The read's question was executed; the answer is held back. */
async function asked({ proxy }: Scene, read: () => Promise<unknown>): Promise<Begun> {
  const end = proxy.hold()
  proxy.resetCounters()
  const early = read()
  await until(() => expect(proxy.counters().packetsToClient).toBeGreaterThan(0))
  return { early, end }
}

async function loading({ source }: Scene, read: () => Promise<unknown>): Promise<Begun> {
  const end = source.hold()
  const early = read()
  early.catch(() => {})
  await until(() => expect(source.counts.running).toBe(1))
  return { early, end }
}

/** The loaded value is stored; the answer to that is held back. */
async function filled(scene: Scene, read: () => Promise<unknown>): Promise<Begun> {
  const { early, end } = await loading(scene, read)
  const release = scene.proxy.hold()
  await end()
  await until(async () => expect(await plain.exists(scene.keys.value.key('a'))).toBe(1))
  return { early, end: release }
}

/** What was held back is lost with its connection. */
async function cutOff({ proxy }: Scene) {
  proxy.cut()
  await proxy.heal()
}

const rowsOf = ({ source }: Scene) => {
  return async (ids: readonly string[]) => {
    const rows = await Promise.all(ids.map(source.load))
    return new Map(rows.flatMap((row) => (row ? [[row.id, row] as const] : [])))
  }
}
const writeTagged = async ({ other, source }: Scene) => {
  source.write('a')
  await other.invalidateTag('tea')
}

const ways: Way[] = [
  {
    way: 'in a value whose answer was on its way',
    async begin(scene) {
      await scene.other.get('a', scene.source.loader('a'))
      return asked(scene, () => get(scene))
    },
  },
  {
    way: 'in a stale value whose answer was on its way',
    options: { ttlMs: 20, staleMs: HOUR_MS },
    async begin(scene) {
      await get(scene)
      await until(async () => expect((await get(scene)).source).toBe('stale'))
      await until(() => expect(scene.source.counts.running).toBe(0))
      return asked(scene, () => get(scene))
    },
  },
  {
    way: 'in a tagged value whose answer was on its way',
    async begin(scene) {
      await scene.other.get('a', scene.source.loader('a'), { tags: ['tea'] })
      return asked(scene, () => get(scene, ['tea']))
    },
    write: writeTagged,
    read: (scene) => get(scene, ['tea']),
  },
  {
    way: 'in a value that another process filled in',
    async begin(scene) {
      const { other, source, proxy } = scene
      const release = source.hold()
      const filling = other.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      proxy.resetCounters()
      const early = get(scene)
      await until(() => expect(proxy.counters().packetsToClient).toBeGreaterThan(3)) // it asks again and again
      release()
      await filling
      const end = proxy.hold()
      proxy.resetCounters()
      let isOver = false // when its last question was quicker than the line was held
      early.finally(() => {
        isOver = true
      })
      await until(() => expect(isOver || proxy.counters().packetsToClient > 0).toBe(true))
      return { early, end }
    },
  },
  { way: 'in a load that was refused', begin: (scene) => loading(scene, () => get(scene)) },
  { way: 'in a load whose storing was answered late', begin: (scene) => filled(scene, () => get(scene)) },
  {
    way: 'in a load whose storing was never answered',
    async begin(scene) {
      const { early } = await filled(scene, () => get(scene))
      return { early, end: () => cutOff(scene) }
    },
  },
  {
    way: 'in a load of many',
    begin: (scene) => loading(scene, () => scene.reader.many(['a'], rowsOf(scene))),
    read: async (scene) => (await scene.reader.many(['a'], rowsOf(scene))).get('a'),
  },
  {
    way: 'in a load whose lease was evicted',
    async begin(scene) {
      const begun = await loading(scene, () => get(scene))
      await plain.del(scene.keys.lease.key('a'))
      return begun
    },
  },
  {
    way: 'in a load around Redis, which did not answer in time',
    options: { deadlineMs: undefined, leaseMs: undefined },
    async begin(scene) {
      const release = scene.proxy.hold()
      const begun = await loading(scene, () => get(scene))
      release()
      return begun
    },
  },
  {
    way: 'in a load around Redis, which was unreachable',
    options: { deadlineMs: 50 },
    async begin(scene) {
      await scene.proxy.refuse()
      const begun = await loading(scene, () => get(scene))
      await scene.proxy.heal()
      return begun
    },
  },
  {
    way: 'in a load around Redis, after too long a wait for another process',
    options: { waitMs: 30 },
    async begin(scene) {
      const { other, source } = scene
      const release = source.hold()
      const filling = other.get('a', source.loader('a'))
      await until(() => expect(source.counts.running).toBe(1))
      const early = get(scene)
      await until(() => expect(source.counts.running).toBe(2))
      return { early: Promise.all([early, filling]), end: release }
    },
  },
  {
    way: 'in a load that a tag voided',
    begin: (scene) => loading(scene, () => get(scene, ['tea'])),
    write: writeTagged,
    read: (scene) => get(scene, ['tea']),
  },
  {
    way: 'in a load that a tag voided, and whose storing was never answered',
    async begin(scene) {
      const { early } = await filled(scene, () => get(scene, ['tea']))
      return { early, end: () => cutOff(scene) }
    },
    write: writeTagged,
    read: (scene) => get(scene, ['tea']),
  },
  {
    way: 'in a load that a write-through overtook',
    begin: (scene) => loading(scene, () => get(scene)),
    write: ({ other, source }) => other.put('a', async () => source.write('a')),
  },
  {
    way: 'in a load around Redis that a write-through overtook',
    async begin(scene) {
      const release = scene.proxy.hold()
      const begun = await loading(scene, () => get(scene))
      release()
      return begun
    },
    options: { deadlineMs: 50 },
    write: ({ other, source }) => other.put('a', async () => source.write('a')),
  },
]

describe('a read that begins after an invalidation gets the new value, though an older read ended', () => {
  test.each(ways)('$way', async ({ options, begin, write, read = get }) => {
    const scene = await setUp(options)
    const { early, end } = await begin(scene)
    if (write) await write(scene)
    else {
      scene.source.write('a')
      await scene.other.invalidate('a')
    }
    const late = read(scene)
    await end()
    expect((await late)?.value?.version).toBe(2)
    await early
  })

  test.each([
    ['failed', (): Promise<Row> => Promise.reject(new Error('the source is down')), 'the source is down'],
    ['took too long', () => new Promise<Row>(() => {}), LoadTimeout],
  ] as const)('or an error of the older load, which %s', async (_, finish, error) => {
    const { reader, other, source } = await setUp({ leaseMs: 300 })
    const begun = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    const early = reader.get('a', async () => {
      begun.resolve()
      await gate.promise
      return finish()
    })
    await begun.promise
    source.write('a')
    await other.invalidate('a')
    const late = reader.get('a', source.loader('a'))
    gate.resolve()
    await Promise.all([expect(early).rejects.toThrow(error), expect(late).rejects.toThrow(error)])
    expect((await reader.get('a', source.loader('a'))).value?.version).toBe(2)
  })
})
