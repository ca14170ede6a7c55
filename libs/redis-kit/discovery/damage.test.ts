/** Keys and hints of the registry that no instance wrote: beats make it whole again, and callers never see what is no instance. */
import { createRandom, integerOf, oneOf } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { damage, newSeed, plant, typesExcept } from '../damage.fixture.ts'
import { createRegistry, discoveryKeys, type Instance } from './discovery.ts'
import { parseHint } from './hint.ts'

const server = await testRedis()
const record: Instance = { id: 'a', service: 'catalog', host: '10.0.0.1', port: 3000, startedAtMs: 1, weight: 2 }
const other: Instance = { ...record, id: 'b' }
const families = { expiry: 'zset', records: 'hash', rev: 'string' } as const

async function setUp() {
  const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  const keys = discoveryKeys(server.namespace())
  const registry = createRegistry(redis, { keys })
  const beat = await registry.beat('catalog', record, 0)
  if (beat.status !== 'accepted') throw new Error('superseded')
  const keyOf = (name: keyof typeof families) => keys[name].key('catalog')
  return { plain: server.connect(), registry, keyOf, incarnation: beat.incarnation }
}

const planted = Object.entries(families).flatMap(([name, type]) =>
  typesExcept(type).map((foreign) => [foreign, name as keyof typeof families] as const),
)

test.each(planted)('a %s in the place of `%s` is replaced by the next beats', async (foreign, name) => {
  const { plain, registry, keyOf, incarnation } = await setUp()
  await plant(plain, keyOf(name), foreign)
  expect(await registry.beat('catalog', record, incarnation)).toMatchObject({ status: 'accepted' })
  await registry.beat('catalog', other, 0)
  expect((await registry.list('catalog')).instances.map(({ id }) => id).sort()).toEqual(['a', 'b'])
  expect(await plain.pttl(keyOf(name))).toBeGreaterThan(0)
  await plant(plain, keyOf(name), foreign)
  expect(await registry.leave('catalog', 'a', incarnation)).toBeTypeOf('boolean')
})

test.each(['foreign', '-1', 'nan', '1e9', '9'.repeat(17), '9'.repeat(400)])(
  'a rev of "%s" counts as lost, and the next beat gives one',
  async (text) => {
    const { plain, registry, keyOf, incarnation } = await setUp()
    await plain.set(keyOf('rev'), text)
    expect(await registry.list('catalog')).toMatchObject({ rev: 0, instances: [record] })
    expect(await registry.beat('catalog', { ...record, weight: 3 }, incarnation)).toMatchObject({ status: 'accepted' })
    expect((await registry.list('catalog')).rev).toBeGreaterThan(10 ** 15)
    await plain.set(keyOf('rev'), text)
    expect(await registry.leave('catalog', 'a', incarnation)).toBe(true)
  },
)

test.each(['', 'foreign', `${'9'.repeat(30)} {}`, `${2 ** 53} {}`])(
  'a record of "%s" supersedes no instance',
  async (text) => {
    const { plain, registry, keyOf, incarnation } = await setUp()
    await plain.hset(keyOf('records'), 'a', text)
    expect(await registry.beat('catalog', record, incarnation)).toMatchObject({ status: 'accepted', incarnation })
    await plain.hset(keyOf('records'), 'a', text)
    expect(await registry.leave('catalog', 'a', incarnation)).toBe(true)
  },
)

test('an entry that never runs out leaves with the next beat', async () => {
  const { plain, registry, keyOf, incarnation } = await setUp()
  await plain.zadd(keyOf('expiry'), 'inf', 'ghost')
  await plain.hset(keyOf('records'), 'ghost', `1 ${JSON.stringify({ ...record, id: 'ghost' })}`)
  await registry.beat('catalog', record, incarnation)
  expect((await registry.list('catalog')).instances).toEqual([record])
})

test.each([
  { id: '' },
  { id: 'a b' },
  { host: '' },
  { host: 1 },
  { port: 0 },
  { port: 70_000 },
  { port: '3000' },
  { internalPort: -1 },
  { weight: 0 },
  { weight: -1 },
  { weight: '2' },
  { weight: null },
  { startedAtMs: null },
  { service: undefined },
])('a record with %o is no instance, in a listing or a hint', async (change) => {
  const { plain, registry, keyOf } = await setUp()
  const text = JSON.stringify({ ...record, ...change })
  await plain.hset(keyOf('records'), 'a', `1 ${text}`)
  expect((await registry.list('catalog')).instances).toEqual([])
  expect(parseHint(`2 up ${text}`)).toBeUndefined()
})

test('whatever was damaged, a listing has instances only, and a beat brings the own one back', async () => {
  const { plain, registry, keyOf, incarnation } = await setUp()
  const seed = newSeed()
  const random = createRandom(seed)
  for (let round = 0; round < 200; round++) {
    const text = `${incarnation} ${JSON.stringify(record)}`
    const where = `seed ${seed}, round ${round}`
    await plain.hset(keyOf('records'), 'a', damage(random, text))
    if (integerOf(random, 0, 3) === 0) await plain.set(keyOf('rev'), damage(random, '1763911234567000'))
    if (integerOf(random, 0, 3) === 0) await plain.zadd(keyOf('expiry'), oneOf(random, ['inf', '-inf', '1e300']), 'a')
    for (const found of (await registry.list('catalog')).instances) {
      expect(found.port > 0 && found.port < 65_536 && (found.weight ?? 1) > 0, where).toBe(true)
    }
    expect(() => parseHint(damage(random, `${round} up ${text}`).toString()), where).not.toThrow()
    const beat = await registry.beat('catalog', record, incarnation)
    // Damage within the digits is a later incarnation, as from a successor.
    if (beat.status === 'superseded') await plain.hdel(keyOf('records'), 'a')
    else expect((await registry.list('catalog')).instances, where).toEqual([record])
    await registry.beat('catalog', record, incarnation)
  }
})
