import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { type KeyFamily, keyFamily } from '@shop/redis-kit/keys'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, afterEach, expect, test } from 'vitest'
import { describeWalk, walkKeyspace } from './walk.ts'

const family = (pattern: string, options: Partial<KeyFamily>) =>
  keyFamily({
    ...{ service: 'order', pattern, type: 'string', role: 'state', ttl: { ms: 60_000 } },
    ...{ example: pattern.match(/<\w+>/g) ?? [], doc: 'a key of this test' },
    ...options,
  })
const cart = family('order:cart:<owner>', { type: 'hash' })
const note = family('order:events:{<partition>}:seen:<time>', {})
const log = family('order:events:{<partition>}:stream', { type: 'stream', ttl: { immortal: 'a log' } })
const cached = family('catalog:product:{<id>}:value', { role: 'cache' })
const families = [cart, note, log, cached]

const server = await startRedis()
const redis = connectRedis(server.url, { name: 'test' })
const secret = 'c0ffee11-ada@example.com'
const notes = [secret, '1', '2', '3'].map((time) => note.key(0, time))
afterEach(async () => {
  await redis.unlink(cart.key(secret), log.key(0), cached.key(secret), `order:${secret}:x`, ...notes)
})
afterAll(async () => {
  await closeRedis(redis)
  await server.stop()
})

async function walk(limit?: number) {
  const found = await walkKeyspace(redis, { role: 'state', families, ...(limit && { limit }) })
  return { ...found, lines: describeWalk('redis-state', found) }
}

test('keys that are as declared are counted, and a log may stay for ever', async () => {
  await redis.hset(cart.key(secret), 'id', '1')
  await redis.pexpire(cart.key(secret), 60_000)
  await redis.set(note.key(0, secret), '', 'PX', 50)
  await redis.xadd(log.key(0), '*', 'id', '1')
  expect(await walk()).toEqual({ keyCount: 3, isComplete: true, findings: [], lines: [] })
})

test('a key without a declaration is reported by its pattern, without its ids', async () => {
  await redis.set(`order:${secret}:x`, '1', 'PX', 60_000)
  await redis.set(cached.key(secret), '1', 'PX', 60_000) // of the other server
  const { lines } = await walk()
  expect(lines.sort()).toEqual([
    'redis-state: undeclared: catalog:product:{<id>}:value (1 key): declared for the cache server',
    'redis-state: undeclared: order:*:* (1 key)',
  ])
})

test('a key without TTL is reported where its family declares one', async () => {
  await redis.hset(cart.key(secret), 'id', '1')
  expect((await walk()).lines).toEqual(['redis-state: immortal: order:cart:<owner> (1 key): declared 60000 ms'])
})

test('a key of another type, or with a longer TTL than declared, is reported', async () => {
  await redis.set(cart.key(secret), '1', 'PX', 90_000)
  expect((await walk()).lines).toEqual([
    'redis-state: wrong type: order:cart:<owner> (1 key): string, declared hash',
    'redis-state: lives too long: order:cart:<owner> (1 key): declared 60000 ms',
  ])
})

test('the walk ends at its limit and says so', async () => {
  for (const id of ['1', '2', '3']) await redis.set(note.key(0, id), '', 'PX', 50)
  const { isComplete, lines } = await walk(2)
  expect(isComplete).toBe(false)
  expect(lines).toEqual(['redis-state: more than 2 keys; the rest was not checked'])
})
