/** What somebody learns who reads Redis, its files or its traffic; and what they can do who write to it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis as PlainRedis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { createFieldCipher } from './encryption.ts'
import { createSessions, type SessionOptions, sessionKeys } from './session.ts'
import { tagOfId } from './session-id.ts'

const HOUR_MS = 3_600_000
const key = (fill: number) => Buffer.alloc(32, fill)
const cipher = createFieldCipher({ keys: { 2026: key(1) }, writeKeyId: '2026' })

describe('a dump of Redis', () => {
  async function dumpAfter(options: Partial<SessionOptions>) {
    const dir = await mkdtemp(join(tmpdir(), 'shop-session-'))
    const server = await startRedis({ dir, config: { rdbcompression: 'no', dbfilename: 'dump.rdb' } })
    const redis = connectRedis(server.url, { name: 'test' })
    const plain = new PlainRedis(server.url)
    try {
      const sessions = createSessions(redis, {
        keys: sessionKeys('user'),
        idleMs: HOUR_MS,
        absoluteMs: HOUR_MS,
        ...options,
      })
      const fields = { email: 'ada@example.test' }
      const first = await sessions.create({ userId: 'ada', fields, device: 'Babbage Engine' })
      const second = (await sessions.rotate(first.id, { step: 'two-factor' })) ?? first
      await sessions.load(second.id)
      await plain.save()
      return { dump: (await readFile(join(dir, 'dump.rdb'))).toString('latin1'), first, second }
    } finally {
      plain.disconnect()
      await closeRedis(redis)
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    }
  }

  test('contains no id that opens a session, and no part of one', async () => {
    const { dump, first, second } = await dumpAfter({})
    expect(dump).toContain(second.handle) // control: this is the right dump, and it can be read
    expect(dump).toContain('ada@example.test')
    for (const { id } of [first, second]) {
      expect(dump).not.toContain(id)
      for (let start = 8; start + 12 <= id.length; start++) expect(dump).not.toContain(id.slice(start, start + 12))
    }
  })

  test('contains no plaintext of fields or devices when they are encrypted', async () => {
    const { dump } = await dumpAfter({ encryption: cipher })
    expect(dump).toContain('v1.2026.')
    for (const text of ['ada@example.test', 'two-factor', 'Babbage']) expect(dump).not.toContain(text)
  })
})

describe('encrypted fields', async () => {
  const server = await testRedis()
  let redis: Redis
  let plain: PlainRedis

  beforeAll(async () => {
    redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 5000 })
    plain = server.connect()
    await whenReady(redis, 5000)
  })
  afterAll(() => closeRedis(redis))

  function open(options: Partial<SessionOptions> = {}) {
    const keys = sessionKeys(server.namespace())
    const all = { keys, idleMs: HOUR_MS, absoluteMs: HOUR_MS, encryption: cipher, ...options }
    const sessions = createSessions(redis, all)
    const keyOf = ({ id, handle }: { id: string; handle: string }) => keys.session.key(tagOfId(id), handle)
    return { sessions, keyOf, keys }
  }

  test('are read as they were written, through saving and rotating', async () => {
    const { sessions } = open()
    const { id } = await sessions.create({ userId: 'ada', fields: { a: 'ü', b: '' }, device: 'Laptop' })
    await sessions.save(id, { c: '3', b: undefined })
    const rotated = await sessions.rotate(id, { d: '4' })
    expect(await sessions.load(rotated?.id)).toMatchObject({ fields: { a: 'ü', c: '3', d: '4' }, device: 'Laptop' })
    expect(await sessions.list('ada')).toMatchObject([{ device: 'Laptop' }])
  })

  /** Somebody with write access gives Mallory the role that the server has sealed for Ada. */
  async function swapRoles(options: Partial<SessionOptions>) {
    const { sessions, keyOf } = open(options)
    const ada = await sessions.create({ userId: 'ada', fields: { role: 'admin' } })
    const mallory = await sessions.create({ userId: 'mallory', fields: { role: 'customer' } })
    await plain.hset(keyOf(mallory), 'd:role', (await plain.hget(keyOf(ada), 'd:role')) ?? '')
    return sessions.load(mallory.id)
  }

  test('of another session are not accepted, and the session with them', async () => {
    const refused: string[] = []
    expect(await swapRoles({ onUnreadable: (handle) => refused.push(handle) })).toBeUndefined()
    expect(refused).toHaveLength(1)
  })

  test('control: without encryption they are', async () => {
    expect((await swapRoles({ encryption: undefined }))?.fields).toEqual({ role: 'admin' })
  })

  test('of another name in the same session are not accepted', async () => {
    const { sessions, keyOf } = open()
    const ada = await sessions.create({ userId: 'ada', fields: { nickname: 'admin', role: 'customer' } })
    await plain.hset(keyOf(ada), 'd:role', (await plain.hget(keyOf(ada), 'd:nickname')) ?? '')
    expect(await sessions.load(ada.id)).toBeUndefined()
  })

  test('outlive a change of keys as long as the ring has theirs', async () => {
    const { sessions, keys } = open()
    const { id } = await sessions.create({ userId: 'ada', fields: { a: '1' } })
    const ring = { 2026: key(1), 2027: key(2) }
    const next = open({ keys, encryption: createFieldCipher({ keys: ring, writeKeyId: '2027' }) }).sessions
    expect((await next.load(id))?.fields).toEqual({ a: '1' })
    await next.save(id, { b: '2' })
    expect((await next.load(id))?.fields).toEqual({ a: '1', b: '2' })
    expect(await sessions.load(id)).toBeUndefined() // an instance that has not got the new key yet
    const later = open({ keys, encryption: createFieldCipher({ keys: { 2027: key(2) }, writeKeyId: '2027' }) }).sessions
    expect(await later.load(id)).toBeUndefined()
  })

  test('of a ring that cannot work are refused at the start', () => {
    expect(() => createFieldCipher({ keys: { a: key(1) }, writeKeyId: 'b' })).toThrow('write key b is not in the ring')
    expect(() => createFieldCipher({ keys: { a: Buffer.alloc(16) }, writeKeyId: 'a' })).toThrow('16 bytes')
    expect(() => createFieldCipher({ keys: { 'a.b': key(1) }, writeKeyId: 'a.b' })).toThrow('not a valid key id')
  })

  test('never open altered: every flipped bit is found', () => {
    const sealed = cipher.seal('h', 'f', 'value')
    const [version, id, body = ''] = sealed.split('.')
    const bytes = Buffer.from(body, 'base64url')
    expect(cipher.open('h', 'f', sealed)).toBe('value')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes)
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7))
      expect(cipher.open('h', 'f', `${version}.${id}.${altered.toString('base64url')}`)).toBeUndefined()
    }
    for (const broken of ['', 'plain', 'v1.2026.', 'v1.2026.AAAA', `v2.2026.${body}`, `v1.2025.${body}`]) {
      expect(cipher.open('h', 'f', broken)).toBeUndefined()
    }
  })
})

describe('on the wire', () => {
  let server: Awaited<ReturnType<typeof startRedis>>

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  test('a load is one packet, and what has not the form of an id is none', async () => {
    const proxy = await startFaultProxy({ port: server.port })
    const redis = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 5000 })
    try {
      const sessions = createSessions(redis, { keys: sessionKeys('user'), idleMs: HOUR_MS, absoluteMs: HOUR_MS })
      const { id } = await sessions.create({ userId: 'ada', fields: {} })
      await sessions.load(id)
      proxy.resetCounters()
      await sessions.load(id)
      expect(proxy.counters()).toMatchObject({ packetsToServer: 1, packetsToClient: 1 })
      for (const junk of [undefined, '', 'x', `${id}x`, `${id.slice(0, -1)}*`, 'é'.repeat(51)])
        await sessions.load(junk)
      expect(proxy.counters().packetsToServer).toBe(1)
    } finally {
      await closeRedis(redis)
      await proxy.stop()
    }
  })

  test('a Redis that is away is an error, and not a visitor who is signed out', async () => {
    const proxy = await startFaultProxy({ port: server.port })
    const redis = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 1_000 })
    try {
      await whenReady(redis, 10_000)
      const sessions = createSessions(redis, { keys: sessionKeys('user'), idleMs: HOUR_MS, absoluteMs: HOUR_MS })
      const { id } = await sessions.create({ userId: 'ada', fields: {} })
      await proxy.refuse()
      await expect(sessions.load(id)).rejects.toSatisfy(isRedisOutage)
      expect(await sessions.load('not an id')).toBeUndefined() // public pages need no Redis
    } finally {
      await closeRedis(redis)
      await proxy.stop()
    }
  })
})
