import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { createLookup } from './lookup.ts'

const server = await startRedis()
const redis = connectRedis(server.url, { name: 'lookup' })
await whenReady(redis, 5_000)
const order = { count: 0 }
const lookup = createLookup(redis, { guard: (ask) => ask(), order })
const look = (key: string) => lookup(key, { isAsked: false, asOf: 0 })
const ids = Array.from({ length: 20 }, (_, n) => `id-${n}`)
const values = ids.map((id) => Buffer.from(id.toUpperCase()))
await Promise.all(ids.map((id, n) => redis.set(id, values[n] as Buffer)))
beforeEach(() => redis.config('RESETSTAT'))
afterAll(async () => {
  await closeRedis(redis)
  await server.stop()
})

async function questionCount(): Promise<number> {
  return Number(/cmdstat_mget:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)
}

/** As requests come: several in one turn of the event loop, each in a tick of its own. */
function inTicks<T>(work: (id: string) => Promise<T>): Promise<T[]> {
  return Promise.all(
    ids.map(async (id, n) => {
      for (let tick = 0; tick < n; tick++) await new Promise<void>((resolve) => process.nextTick(resolve))
      return work(id)
    }),
  )
}

test('what is asked in one turn of the event loop is one question, and each gets its own answer', async () => {
  expect(await inTicks(look)).toEqual(values)
  expect(await questionCount()).toBe(1)
})

test('what is asked in turns of their own are questions of their own (control)', async () => {
  for (const [n, id] of ids.entries()) expect(await look(id)).toEqual(values[n])
  expect(await questionCount()).toBe(ids.length)
})

test('a question is for a hundred keys at most', async () => {
  const answers = await Promise.all(Array.from({ length: 250 }, (_, n) => look(ids[n] ?? 'none')))
  expect(answers.filter((answer) => answer !== null)).toEqual(values)
  expect(await questionCount()).toBe(3)
})

test('a question is marked when it is sent, with all that leave at that moment', async () => {
  const questions = [0, 1].map(() => ({ isAsked: false, asOf: 0 }))
  const answers = questions.map((question, n) => lookup(ids[n] ?? '', question))
  expect(questions).toEqual([
    { isAsked: false, asOf: 0 },
    { isAsked: false, asOf: 0 },
  ])
  await Promise.all(answers)
  expect(questions).toEqual([
    { isAsked: true, asOf: order.count },
    { isAsked: true, asOf: order.count },
  ])
})
