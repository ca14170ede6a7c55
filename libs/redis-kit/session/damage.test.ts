/** Keys of sessions that hold what no session wrote: the holder is signed out, the user can sign in, and nothing stays broken. */
import { createRandom, integerOf, oneOf } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { damage, newSeed, plant, typesExcept } from '../damage.fixture.ts'
import { createSessions, handleOf, sessionKeys } from './session.ts'
import { tagOfUser } from './session-id.ts'

const MINUTE_MS = 60_000

describe.each(['standalone', 'cluster'] as const)('on %s', async (topology) => {
  const server = await testRedis({ topology })

  async function setUp() {
    const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 5_000 })
    onTestFinished(() => closeRedis(redis))
    await whenReady(redis, 10_000)
    const keys = sessionKeys(server.namespace())
    const sessions = createSessions(redis, { keys, idleMs: MINUTE_MS, absoluteMs: 10 * MINUTE_MS })
    const signIn = () => sessions.create({ userId: 'ada', fields: { role: 'customer' }, device: 'Firefox' })
    const tag = tagOfUser('ada')
    const keyOf = (id: string) => keys.session.key(tag, handleOf(id))
    const shared = { index: keys.index.key(tag), epoch: keys.epoch.key(tag) }
    return { sessions, signIn, keyOf, plain: server.connect(), ...shared }
  }
  type Setup = Awaited<ReturnType<typeof setUp>>

  /** All that a user can do, whatever is in Redis. */
  async function everything({ sessions, signIn }: Setup, id: string) {
    await sessions.load(id)
    await sessions.save(id, { role: 'admin' })
    await sessions.rotate(id)
    await sessions.epoch('ada')
    await sessions.list('ada')
    await sessions.destroyByHandle('ada', handleOf(id))
    const again = await signIn()
    expect(await sessions.load(again.id)).toMatchObject({ userId: 'ada', fields: { role: 'customer' } })
    expect((await sessions.list('ada')).map(({ handle }) => handle)).toContain(again.handle)
    await sessions.revokeAll('ada')
    expect(await sessions.load(again.id)).toBeUndefined()
    const last = await signIn()
    expect(await sessions.load(last.id)).toMatchObject({ userId: 'ada' })
    expect(await sessions.destroy(last.id)).toBe(true)
  }

  test.each(typesExcept('hash'))('a %s in the place of a session is no session', async (type) => {
    const setup = await setUp()
    const { id } = await setup.signIn()
    await plant(setup.plain, setup.keyOf(id), type)
    expect(await setup.sessions.load(id)).toBeUndefined()
    await everything(setup, id)
  })

  test.each(typesExcept('zset'))('a %s in the place of the index lists nothing, and sessions go on', async (type) => {
    const setup = await setUp()
    const { id } = await setup.signIn()
    await plant(setup.plain, setup.index, type)
    expect(await setup.sessions.list('ada')).toEqual([])
    expect(await setup.sessions.load(id)).toMatchObject({ userId: 'ada' })
    await everything(setup, id)
  })

  test.each(typesExcept('string'))('a %s in the place of the epoch signs the user out', async (type) => {
    const setup = await setUp()
    const { id } = await setup.signIn()
    await plant(setup.plain, setup.epoch, type)
    expect(await setup.sessions.load(id)).toBeUndefined()
    expect(await setup.plain.pttl(setup.epoch)).toBeGreaterThan(0)
    await everything(setup, id)
  })

  test.each(['foreign', '-1', '9223372036854775807', '9'.repeat(400), '1.5'])(
    'an epoch of "%s" signs the user out, and can be left',
    async (text) => {
      const setup = await setUp()
      const { id } = await setup.signIn()
      await setup.plain.set(setup.epoch, text)
      expect(await setup.sessions.load(id)).toBeUndefined()
      await everything(setup, id)
    },
  )

  test.each(['', 'foreign', ' ', '__proto__', 'ÿ'.repeat(22)])(
    'a member "%s" of the index is left out and removed',
    async (member) => {
      const setup = await setUp()
      const { handle } = await setup.signIn()
      await setup.plain.zadd(setup.index, 'inf', member)
      expect((await setup.sessions.list('ada')).map((one) => one.handle)).toEqual([handle])
      expect(await setup.plain.zscore(setup.index, member)).toBeNull()
      await setup.plain.zadd(setup.index, 'inf', member)
      await setup.sessions.revokeAll('ada')
    },
  )

  test('a session that was damaged anywhere is read as it was written, or signed out', async () => {
    const setup = await setUp()
    const seed = newSeed()
    const random = createRandom(seed)
    for (let round = 0; round < 100; round++) {
      const { id } = await setup.signIn()
      const key = setup.keyOf(id)
      const [field, value] = oneOf(random, Object.entries(await setup.plain.hgetall(key)))
      if (integerOf(random, 0, 4) === 0) await setup.plain.hdel(key, field)
      else await setup.plain.hset(key, field, damage(random, value))
      if (integerOf(random, 0, 4) === 0) await setup.plain.persist(key)
      const where = `seed ${seed}, round ${round}, ${field}`
      const session = await setup.sessions.load(id).catch((error: unknown) => error)
      expect(session, where).not.toBeInstanceOf(Error)
      if (session) expect((session as { userId: string }).userId, where).toBe('ada')
      if (session) expect(Number.isSafeInteger((session as { createdAtMs: number }).createdAtMs), where).toBe(true)
      await expect(everything(setup, id), where).resolves.toBeUndefined()
      await setup.plain.del(key)
    }
  })
})
