/** One contract for every topology. The controls show what the usual way, one JSON string per session, does in the same place. */
import { setTimeout as sleep } from 'node:timers/promises'
import { testRedis } from '@shop/test-kit/redis'
import type { Cluster as PlainCluster, Redis as PlainRedis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import {
  createSessionReader,
  createSessions,
  type SessionOptions,
  SessionRevoked,
  type Sessions,
  sessionKeys,
} from './session.ts'
import { tagOfId, tagOfUser } from './session-id.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS

/** Whole numbers that look random and are the same on every run. */
function numbers(seed: number) {
  return (n: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * n)
  }
}

describe.each(['standalone', 'cluster'] as const)('sessions on Redis, %s', async (topology) => {
  const server = await testRedis({ topology })
  let redis: Redis
  let other: Redis
  let plain: PlainRedis | PlainCluster

  beforeAll(async () => {
    redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 5000 })
    other = connectRedis(server.url, { name: 'test-other', commandTimeoutMs: 5000 })
    await Promise.all([whenReady(redis, 10_000), whenReady(other, 10_000)])
    plain = server.connect()
  })
  afterAll(() => Promise.all([closeRedis(redis), closeRedis(other)]))

  let keys: ReturnType<typeof sessionKeys>
  let sessions: Sessions
  /** The same sessions, as another process sees them. */
  let elsewhere: Sessions

  const open = (on: Redis, options: Partial<SessionOptions> = {}) =>
    createSessions(on, { keys, idleMs: MINUTE_MS, absoluteMs: 10 * MINUTE_MS, ...options })

  beforeEach(() => {
    keys = sessionKeys(server.namespace())
    sessions = open(redis)
    elsewhere = open(other)
  })

  const keyOf = (id: string, handle: string) => keys.session.key(tagOfId(id), handle)
  const signIn = (userId = 'ada', on = sessions) =>
    on.create({ userId, fields: { role: 'customer' }, device: 'Firefox' })

  /** All keys of this test. */
  async function allKeys() {
    const nodes = 'nodes' in plain ? plain.nodes('master') : [plain]
    const prefix = keys.index.pattern.split(':')[0]
    return (await Promise.all(nodes.map((node) => scan(node as PlainRedis, `${prefix}:*`)))).flat()
  }

  describe('a session', () => {
    test('is what was created, in every process', async () => {
      const created = await signIn()
      expect(created).toMatchObject({ userId: 'ada', device: 'Firefox' })
      const { id, ...summary } = created
      expect(await elsewhere.load(id)).toEqual({ ...summary, fields: { role: 'customer' } })
      expect(created.expiresAtMs - created.createdAtMs).toBe(MINUTE_MS)
    })

    test('is found by its id only: neither by its handle nor by another id of that user', async () => {
      const { id, handle } = await signIn()
      expect(await sessions.load(handle)).toBeUndefined()
      expect(await sessions.load(id.slice(0, 8) + handle)).toBeUndefined()
      expect(await sessions.load(id.slice(0, -1) + (id.endsWith('A') ? 'B' : 'A'))).toBeUndefined()
    })

    test('takes ids that are new each time and carry 256 random bits', async () => {
      const created = await Promise.all(Array.from({ length: 50 }, () => signIn()))
      const secrets = new Set(created.map(({ id }) => id.slice(8)))
      expect(secrets.size).toBe(50)
      for (const secret of secrets) expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
      expect(new Set(created.map(({ handle }) => handle)).size).toBe(50)
    })

    test('refuses what does not belong into it', async () => {
      const { id } = await signIn()
      await expect(sessions.save(id, { 'a b': '1' })).rejects.toThrow('name')
      await expect(sessions.save(id, { a: 'x'.repeat(5000) })).rejects.toThrow('longer')
      expect(() => open(redis, { idleMs: 2, absoluteMs: 1 })).toThrow('idleMs <= absoluteMs')
      expect(() => open(redis, { absoluteMs: 1000 * 24 * 3600 * SECOND_MS })).toThrow('absoluteMs <=')
      expect(() => open(redis, { maxPerUser: 0 })).toThrow('maxPerUser')
    })

    test('is not what an empty or foreign hash under its key is', async () => {
      const { id, handle } = await signIn()
      await plain.hdel(keyOf(id, handle), 'uid')
      expect(await sessions.load(id)).toBeUndefined()
      await plain.hdel(keyOf(id, handle), 'ep')
      expect(await sessions.load(id)).toBeUndefined()
    })
  })

  describe('anonymous traffic', () => {
    test('writes nothing', async () => {
      const unknown = Array.from({ length: 50 }, (_, i) => `unknown${i}`.padEnd(51, 'x'))
      for (const id of [undefined, '', 'short', '../../etc/passwd', '☃'.repeat(51), ...unknown]) {
        expect(await sessions.load(id)).toBeUndefined()
        expect(await sessions.destroy(id)).toBe(false)
        expect(await sessions.save(id ?? '', { a: '1' })).toBe(false)
        expect(await sessions.rotate(id ?? '')).toBeUndefined()
      }
      expect(await sessions.list('nobody')).toEqual([])
      expect(await sessions.destroyByHandle('nobody', 'x'.repeat(43))).toBe(false)
      expect(await allKeys()).toEqual([])
    })
  })

  describe('destroyed', () => {
    test.each([1, 2, 3, 4])('is final under any interleaving of requests (seed %i)', async (seed) => {
      const pick = numbers(seed)
      for (let round = 0; round < 25; round++) {
        const { id, handle } = await signIn()
        const work = [
          () => sessions.load(id),
          () => elsewhere.load(id),
          () => sessions.save(id, { cart: String(round) }),
          () => elsewhere.save(id, { seen: 'yes', role: undefined }),
          () => (pick(2) ? sessions : elsewhere).destroy(id),
        ]
        const order = work.map((run) => ({ run, ticks: pick(6) }))
        await Promise.all(
          order.map(async ({ run, ticks }) => {
            for (let i = 0; i < ticks; i++) await new Promise(setImmediate)
            return run()
          }),
        )
        expect(await sessions.load(id)).toBeUndefined()
        expect(await plain.exists(keyOf(id, handle))).toBe(0)
      }
      expect(await plain.exists(keys.index.key(tagOfUser('ada')))).toBe(0)
    })

    test('a slow request does not resurrect a signed-out session', async () => {
      const { id } = await signIn()
      const slowRequest = await sessions.load(id)
      expect(slowRequest).toBeDefined()
      expect(await elsewhere.destroy(id)).toBe(true)
      expect(await sessions.save(id, { visits: '2' })).toBe(false)
      expect(await sessions.rotate(id)).toBeUndefined()
      expect(await sessions.load(id)).toBeUndefined()
    })

    test('control: with SET of the whole session, it does', async () => {
      const key = keys.session.key('naive', 'session')
      await plain.set(key, JSON.stringify({ user: 'ada' }), 'PX', MINUTE_MS)
      const slowRequest = JSON.parse((await plain.get(key)) ?? 'null')
      await plain.del(key)
      await plain.set(key, JSON.stringify({ ...slowRequest, visits: 2 }), 'PX', MINUTE_MS)
      expect(await plain.get(key)).toContain('ada')
    })

    test('says whether there was something to end', async () => {
      const { id } = await signIn()
      expect([await sessions.destroy(id), await sessions.destroy(id)]).toEqual([true, false])
    })
  })

  describe('fields', () => {
    test('of parallel writers are all there', async () => {
      const { id } = await signIn()
      const names = Array.from({ length: 40 }, (_, i) => `field-${i}`)
      await Promise.all(names.map((name, i) => (i % 2 ? sessions : elsewhere).save(id, { [name]: name })))
      const { fields } = (await sessions.load(id)) ?? {}
      expect(fields).toEqual({ role: 'customer', ...Object.fromEntries(names.map((name) => [name, name])) })
    })

    test('control: with SET of the whole session, the last writer wins', async () => {
      const key = keys.session.key('naive', 'session')
      await plain.set(key, '{}', 'PX', MINUTE_MS)
      const write = async (name: string) => {
        const session = JSON.parse((await plain.get(key)) ?? '{}')
        await plain.set(key, JSON.stringify({ ...session, [name]: 1 }), 'PX', MINUTE_MS)
      }
      await Promise.all(['a', 'b', 'c'].map(write))
      expect(Object.keys(JSON.parse((await plain.get(key)) ?? '{}'))).toHaveLength(1)
    })

    test('are removed by undefined', async () => {
      const { id } = await signIn()
      expect(await sessions.save(id, { role: undefined, theme: '' })).toBe(true)
      expect((await sessions.load(id))?.fields).toEqual({ theme: '' })
    })
  })

  describe('time', () => {
    test('a session that is used lives longer than its idle time, and never longer than its absolute one', async () => {
      const brief = open(redis, { idleMs: 500, absoluteMs: 1200 })
      const { id, createdAtMs } = await signIn('ada', brief)
      let latest = 0
      for (;;) {
        const session = await brief.load(id)
        if (!session) break
        expect(session.expiresAtMs).toBeLessThanOrEqual(createdAtMs + 1200)
        latest = session.expiresAtMs
        await sleep(20)
      }
      expect(latest).toBe(createdAtMs + 1200)
    })

    test('a session that is not used ends by itself', async () => {
      const { id, handle } = await signIn('ada', open(redis, { idleMs: 40 }))
      await vi.waitFor(async () => expect(await plain.exists(keyOf(id, handle))).toBe(0))
      expect(await sessions.load(id)).toBeUndefined()
    })

    test('a load writes only when less than 90 % of the idle time remains', async () => {
      const { id, handle, createdAtMs } = await signIn()
      const key = keyOf(id, handle)
      await plain.pexpireat(key, createdAtMs + 0.97 * MINUTE_MS)
      expect((await sessions.load(id))?.expiresAtMs).toBe(createdAtMs + 0.97 * MINUTE_MS)
      await plain.pexpireat(key, createdAtMs + 0.85 * MINUTE_MS)
      const touched = await sessions.load(id)
      expect(touched?.expiresAtMs).toBeGreaterThanOrEqual(createdAtMs + MINUTE_MS)
      expect(await plain.pexpiretime(key)).toBe(touched?.expiresAtMs)
    })

    test('every process keeps to the lifetimes that a session was created with', async () => {
      const { id, handle } = await signIn('ada', open(redis, { idleMs: 30_000, absoluteMs: 40_000 }))
      const key = keyOf(id, handle)
      const touches: Record<string, () => Promise<string>> = {
        'a reader': () =>
          createSessionReader(other, { keys })
            .load(id)
            .then(() => key),
        'a process with longer lifetimes': () => elsewhere.load(id).then(() => key),
        'a writer': () => elsewhere.save(id, { theme: 'dark' }).then(() => key),
        'a rotation': () => elsewhere.rotate(id).then((names) => keyOf(names?.id ?? '', names?.handle ?? '')),
      }
      for (const [who, touch] of Object.entries(touches)) {
        await plain.pexpire(key, 10_000)
        const remainingMs = await plain.pttl(await touch())
        expect(remainingMs, who).toBeGreaterThan(10_000)
        expect(remainingMs, who).toBeLessThanOrEqual(30_000)
      }
    })

    test('a lost expiry is repaired', async () => {
      const { id, handle } = await signIn()
      await plain.persist(keyOf(id, handle))
      await sessions.load(id)
      expect(await plain.pttl(keyOf(id, handle))).toBeGreaterThan(0)
    })

    test('nothing puts the end off beyond the absolute deadline', async () => {
      const { id, handle } = await signIn()
      const key = keyOf(id, handle)
      const deadlineMs = (await serverTimeMs(plain)) + 5000
      const age = () => Promise.all([plain.hset(key, 'abs', deadlineMs), plain.pexpire(key, 1000)])
      await age()
      await sessions.load(id)
      expect(await plain.pexpiretime(key)).toBe(deadlineMs)
      await age()
      await sessions.save(id, { a: '1' })
      expect(await plain.pexpiretime(key)).toBe(deadlineMs)
      const rotated = await sessions.rotate(id)
      expect(await plain.pexpiretime(keyOf(rotated?.id ?? '', rotated?.handle ?? ''))).toBe(deadlineMs)
    })

    test('a session past its absolute deadline is refused even if its key is still there', async () => {
      const { id, handle } = await signIn()
      await plain.hset(keyOf(id, handle), 'abs', (await serverTimeMs(plain)) - 1)
      expect(await sessions.load(id)).toBeUndefined()
      expect(await plain.exists(keyOf(id, handle))).toBe(0)
    })
  })

  describe('signing in again', () => {
    test('kills the id that the client came with', async () => {
      const planted = await signIn('mallory')
      const fresh = await sessions.create({ userId: 'ada', fields: {}, replaces: planted.id })
      expect(fresh.id).not.toBe(planted.id)
      expect(await elsewhere.load(planted.id)).toBeUndefined()
      expect((await elsewhere.load(fresh.id))?.userId).toBe('ada')
    })

    test('control: with a session that keeps its id, who planted it becomes the user', async () => {
      const planted = keys.session.key('naive', 'planted-id')
      await plain.set(planted, JSON.stringify({}), 'PX', MINUTE_MS)
      await plain.set(planted, JSON.stringify({ user: 'ada' }), 'PX', MINUTE_MS) // the victim signs in
      expect(await plain.get(planted)).toContain('ada') // as the attacker reads it
    })

    test('ends the oldest session when there are too many', async () => {
      const few = open(redis, { maxPerUser: 3 })
      const created = []
      for (let i = 0; i < 5; i++) {
        created.push(await signIn('ada', few))
        await sleep(2) // the order of age is by milliseconds
      }
      expect((await few.list('ada')).map(({ handle }) => handle)).toEqual(created.slice(2).map(({ handle }) => handle))
      expect(await Promise.all(created.map(({ id }) => few.load(id).then(Boolean)))).toEqual([
        false,
        false,
        true,
        true,
        true,
      ])
    })
  })

  describe('rotation', () => {
    test('moves everything to a new id and kills the old one at once', async () => {
      const before = await signIn()
      const after = await sessions.rotate(before.id, { sudo: 'yes', role: undefined })
      expect(after?.id).not.toBe(before.id)
      expect(await elsewhere.load(before.id)).toBeUndefined()
      const session = await elsewhere.load(after?.id)
      expect(session).toMatchObject({ userId: 'ada', device: 'Firefox', fields: { sudo: 'yes' } })
      expect(session?.createdAtMs).toBe(before.createdAtMs)
      expect(await plain.zrange(keys.index.key(tagOfUser('ada')), '0', '-1')).toEqual([after?.handle])
      expect((await sessions.list('ada')).map(({ handle }) => handle)).toEqual([after?.handle])
    })

    test('loses no write that was accepted', async () => {
      for (let round = 0; round < 20; round++) {
        const { id } = await signIn()
        const [rotated, a, b] = await Promise.all([
          sessions.rotate(id),
          sessions.save(id, { a: '1' }),
          elsewhere.save(id, { b: '1' }),
        ])
        const { fields } = (await sessions.load(rotated?.id)) ?? {}
        expect({ a: fields?.a === '1', b: fields?.b === '1' }).toEqual({ a, b })
        await sessions.destroy(rotated?.id)
      }
    })
  })

  describe('all sessions of a user', () => {
    test('are listed, oldest first, with what tells them apart', async () => {
      const phone = await sessions.create({ userId: 'ada', fields: { secret: 'x' }, device: 'Phone' })
      await sleep(2)
      const laptop = await sessions.create({ userId: 'ada', fields: {}, device: 'Laptop' })
      await signIn('bob')
      const { id: _, ...first } = phone
      const { id: __, ...second } = laptop
      expect(await elsewhere.list('ada')).toEqual([first, second])
    })

    test('one is ended by its handle, by its user only', async () => {
      const { id, handle } = await signIn('ada')
      expect(await sessions.destroyByHandle('bob', handle)).toBe(false)
      expect(await sessions.load(id)).toBeDefined()
      expect(await sessions.destroyByHandle('ada', handle)).toBe(true)
      expect(await elsewhere.load(id)).toBeUndefined()
      expect(await sessions.list('ada')).toEqual([])
    })

    test('are void in every process once a revocation resolves; the next sign-in is not', async () => {
      const created = await Promise.all(Array.from({ length: 12 }, () => signIn()))
      const bob = await signIn('bob')
      await sessions.revokeAll('ada')
      for (const { id } of created) expect(await elsewhere.load(id)).toBeUndefined()
      expect(await elsewhere.list('ada')).toEqual([])
      expect(await elsewhere.load(bob.id)).toBeDefined()
      const next = await signIn('ada', elsewhere)
      expect(await sessions.load(next.id)).toBeDefined()
    })

    test('are void by the epoch, even if their keys were never cleared away', async () => {
      const { id, handle } = await signIn()
      const key = keyOf(id, handle)
      const copy = await plain.dumpBuffer(key)
      await sessions.revokeAll('ada')
      for (const use of [
        () => sessions.load(id),
        () => sessions.save(id, { a: '1' }),
        () => sessions.rotate(id),
        () => sessions.revokeAll('ada', { except: handle }).then(() => sessions.load(id)),
      ]) {
        await plain.restore(key, MINUTE_MS, copy, 'REPLACE')
        await plain.zadd(keys.index.key(tagOfUser('ada')), Date.now() + MINUTE_MS, handle)
        expect(await use()).toBeFalsy()
      }
      await plain.restore(key, MINUTE_MS, copy, 'REPLACE')
      expect(await sessions.list('ada')).toEqual([])
    })

    test('all but the one that asks can be ended', async () => {
      const [here, there] = [await signIn(), await signIn()]
      await sessions.revokeAll('ada', { except: here.handle })
      expect(await elsewhere.load(here.id)).toMatchObject({ fields: { role: 'customer' } })
      expect(await elsewhere.load(there.id)).toBeUndefined()
      expect((await sessions.list('ada')).map(({ handle }) => handle)).toEqual([here.handle])
      await sessions.revokeAll('ada')
      expect(await elsewhere.load(here.id)).toBeUndefined()
    })

    test.each([1, 2, 3])('are void after a revocation under any interleaving (seed %i)', async (seed) => {
      const pick = numbers(seed)
      for (let round = 0; round < 15; round++) {
        const [one, two] = [await signIn(), await signIn()]
        const ids = [one.id, two.id]
        const work = [
          () => sessions.save(one.id, { a: '1' }),
          () => elsewhere.rotate(one.id).then((names) => names && ids.push(names.id)),
          () => elsewhere.load(two.id),
          () => sessions.rotate(two.id).then((names) => names && ids.push(names.id)),
          () => sessions.revokeAll('ada'),
        ]
        await Promise.all(
          work.map(async (run) => {
            for (let i = pick(6); i > 0; i--) await new Promise(setImmediate)
            await run()
          }),
        )
        for (const id of ids) expect(await elsewhere.load(id)).toBeUndefined()
        expect(await sessions.list('ada')).toEqual([])
      }
    })

    test('a sign-in that began before the revocation is refused', async () => {
      const epoch = await sessions.epoch('ada') // then the old password is checked, which takes its time
      await elsewhere.revokeAll('ada')
      await expect(sessions.create({ userId: 'ada', fields: {}, epoch })).rejects.toThrow(SessionRevoked)
      expect(await sessions.list('ada')).toEqual([])
      const now = await sessions.epoch('ada')
      expect(await sessions.create({ userId: 'ada', fields: {}, epoch: now })).toMatchObject({ userId: 'ada' })
    })

    test('the epoch outlives every session that was created in it', async () => {
      await sessions.revokeAll('ada')
      const epochKey = keys.epoch.key(tagOfUser('ada'))
      await plain.pexpire(epochKey, 1000)
      await signIn()
      expect(await plain.pttl(epochKey)).toBeGreaterThan(10 * MINUTE_MS)
    })

    test('1,000 expired sessions leave nothing in the index after the next look', async () => {
      const many = open(redis, { idleMs: 100, maxPerUser: 2000 })
      const created = await Promise.all(Array.from({ length: 1000 }, () => signIn('ada', many)))
      const index = keys.index.key(tagOfUser('ada'))
      await vi.waitFor(async () => {
        const left = await Promise.all(created.map(({ id, handle }) => plain.exists(keyOf(id, handle))))
        expect(left.filter(Boolean)).toEqual([])
      }, 10_000)
      expect(await plain.zcard(index)).toBe(1000) // control: nothing cleans it up by itself
      expect(await many.list('ada')).toEqual([])
      expect(await plain.exists(index)).toBe(0)
    })

    test('what is past its absolute deadline leaves the index at the next sign-in', async () => {
      const index = keys.index.key(tagOfUser('ada'))
      await plain.zadd(index, String((await serverTimeMs(plain)) - 1), 'long gone')
      const { handle } = await signIn()
      expect(await plain.zrange(index, '0', '-1')).toEqual([handle])
    })

    test('users that happen to share a tag do not see each other', async () => {
      const { handle } = await signIn('ada')
      const tag = tagOfUser('ada')
      const foreign = 'f'.repeat(43)
      await plain.hset(keys.session.key(tag, foreign), { uid: 'bob', iat: '1', abs: '9e15', ep: '0', gen: '1' })
      await plain.pexpire(keys.session.key(tag, foreign), MINUTE_MS)
      await plain.zadd(keys.index.key(tag), 9e15, foreign)
      expect((await sessions.list('ada')).map((session) => session.handle)).toEqual([handle])
      expect(await sessions.destroyByHandle('ada', foreign)).toBe(false)
    })
  })
})

async function scan(node: PlainRedis, pattern: string) {
  const found: string[] = []
  let cursor = '0'
  do {
    const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', 1000)
    found.push(...keys)
    cursor = next
  } while (cursor !== '0')
  return found
}

async function serverTimeMs(redis: PlainRedis | PlainCluster) {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
}
