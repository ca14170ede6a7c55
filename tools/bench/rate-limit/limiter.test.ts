/** Each contender really limits, or it would be measured at doing nothing. */
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { raw, rawCorked, textbook } from './by-hand.ts'
import { type Limiter, type Limiting, useUp } from './limiter.ts'
import { ours } from './ours.ts'
import { fastifyCorked, flexibleBlocking, peers } from './peers.ts'

let server: Awaited<ReturnType<typeof startRedis>>
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})

const limit = { count: 5, periodMs: 3_600_000 }
const all = [...ours, rawCorked, raw, textbook, fastifyCorked, flexibleBlocking, ...peers]

async function opened({ id, open }: Limiting): Promise<Limiter> {
  const limiter = await open({ redisUrl: server.url, limit, space: `test-${id}` })
  onTestFinished(async () => void (await limiter.close()))
  return limiter
}

test.each(all)('$label admits its limit and then denies, each id by itself', async (limiting) => {
  const limiter = await opened(limiting)
  await useUp(limiter, limit, 'a')
  expect(await limiter.take('a')).toBe(false)
  expect(await limiter.take('b')).toBe(true)
})

test('a limiter that admits everything is found, and one that denies too early', async () => {
  const close = async () => {}
  await expect(useUp({ take: async () => true, close }, limit, 'a')).rejects.toThrow('a limit of 5 admitted 10 units')
  await expect(useUp({ take: async () => false, close }, limit, 'a')).rejects.toThrow('unit 1 of a limit of 5')
})

test('the textbook bucket has the faults that it is a control for: no expiry, and a denial that writes', async () => {
  const limiter = await opened({ ...textbook, id: 'faults' })
  await useUp(limiter, limit, 'a')
  expect(await redis.pttl('test-faults:a')).toBe(-1)
  expect(await changesOf(() => limiter.take('a'))).toBe(2) // two fields
})

test('a denial by gcra writes nothing (the other side of that control)', async () => {
  const [gcra] = ours
  // Two of them: the second knows of no denial and asks Redis.
  await useUp(await opened(gcra as Limiting), { ...limit, count: 5 }, 'denied')
  const other = await opened(gcra as Limiting)
  expect(await changesOf(() => other.take('denied'))).toBe(0)
})

async function changesOf(work: () => Promise<unknown>): Promise<number> {
  const count = async () => Number(/^rdb_changes_since_last_save:(\d+)/m.exec(await redis.info('persistence'))?.[1])
  const before = await count()
  await work()
  return (await count()) - before
}
