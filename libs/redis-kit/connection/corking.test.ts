import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { Redis as Server } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from './connection.ts'

let server: RedisServer
let proxy: FaultProxy
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  proxy = await startFaultProxy({ port: server.port })
  redis = connectRedis(proxy.url, { name: 'test' })
  await whenReady(redis, 5000)
})
beforeEach(async () => {
  await redis.ping()
  proxy.resetCounters()
})
afterAll(async () => {
  await closeRedis(redis)
  await proxy.stop()
  await server.stop()
})

/** Each system call to the socket while `work` runs: ioredis' stream calls one of these per write. */
async function writesOf(client: Server, work: () => Promise<unknown>): Promise<number> {
  const stream = client.stream as unknown as Record<'_write' | '_writev', (...args: unknown[]) => void>
  let count = 0
  for (const name of ['_write', '_writev'] as const) {
    const write = stream[name]
    stream[name] = function (...args) {
      count++
      write.apply(this, args)
    }
  }
  await work()
  return count
}

const increments = (client: Redis, key: string) => () =>
  Promise.all(Array.from({ length: 100 }, () => client.incr(key)))

test('32 commands of one tick leave in one write, and 100 in four', async () => {
  const few = () => Promise.all(Array.from({ length: 32 }, () => redis.incr('a')))
  expect(await writesOf(redis as Server, few)).toBe(1)
  expect(proxy.counters().packetsToServer).toBeLessThanOrEqual(2)
  expect(await writesOf(redis as Server, increments(redis, 'a'))).toBe(4)
})

test('each leaves by itself in ioredis as it comes (negative control)', async () => {
  const plain = new Server(proxy.port)
  await plain.ping()
  expect(await writesOf(plain, increments(plain, 'b'))).toBe(100)
  plain.disconnect()
})

test('what one packet of answers wakes up leaves together again', async () => {
  const chain = async (key: string) => {
    for (let i = 0; i < 3; i++) await redis.incr(key)
  }
  const chains = () => Promise.all(Array.from({ length: 50 }, (_, i) => chain(`chain:${i}`)))
  expect(await writesOf(redis as Server, chains)).toBeLessThanOrEqual(12) // 6, were it not for TCP's own packets
})

test('commands, pipelines and transactions of one tick keep their order', async () => {
  const key = 'order'
  const append = (text: string) => redis.append(key, text)
  const results = [
    append('a'),
    redis.pipeline().append(key, 'b').append(key, 'c').exec(),
    append('d'),
    redis.multi().append(key, 'e').append(key, 'f').exec(),
    append('g'),
    redis.set(`${key}:bytes`, Buffer.from('h')),
    append('i'),
  ]
  await Promise.all(results)
  expect(await redis.get(key)).toBe('abcdefgi')
})

test('large values pass whole', async () => {
  const sizes = [1, 100_000, 10, 3_000_000, 1000]
  await Promise.all(sizes.map((size, i) => redis.set(`big:${i}`, Buffer.alloc(size, i))))
  const values = await Promise.all(sizes.map((_, i) => redis.getBuffer(`big:${i}`)))
  expect(values.map((value) => value?.length)).toEqual(sizes)
  expect(values.every((value, i) => value?.every((byte) => byte === i))).toBe(true)
})

test('a connection that is replaced within a tick loses no uncorking', async () => {
  const before = (redis as Server).stream
  const outcome = redis.incr('replaced').catch(() => 'lost')
  before.destroy()
  await outcome
  await whenReady(redis, 5000)
  expect((redis as Server).stream).not.toBe(before)
  expect(await redis.ping()).toBe('PONG')
  expect((redis as Server).stream.writableCorked).toBe(0)
})
