/** reserve.lua and give-back.lua by themselves, with the server's clock replaced by one that the test sets, against slots.ts. */
import { readFileSync } from 'node:fs'
import { testRedis } from '@shop/test-kit/redis'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { reserveSlot, shapeOf } from './slots.ts'

type Reply = [isReserved: 0 | 1, waitUs: number, freeInUs: number, freeAtUs: number]

/** Replaces `TIME` by two further arguments, and nothing else. */
function withClock(name: string, timeArgument: number) {
  const source = readFileSync(new URL(name, import.meta.url), 'utf8')
  const fake = source.replace("redis.call('TIME')", `{ ARGV[${timeArgument}], ARGV[${timeArgument + 1}] }`)
  if (fake === source) throw new Error(`${name} does not ask the server for the time`)
  return fake
}
const reserveSource = withClock('./reserve.lua', 5)
const giveBackSource = withClock('./give-back.lua', 3)

const server = await testRedis()
const redis = server.connect()
const namespace = server.namespace()
let keyCount = 0
const newKey = () => `${namespace}:${keyCount++}`

const limit = { count: 10, periodMs: 1_000 } // one every 100 ms
const capacity = 4
const shape = shapeOf(limit, capacity)
const MS = 1_000
const START_US = Date.now() * MS
const timeOf = (us: number) => [Math.floor(us / 1e6), us % 1e6]
const numbers = (cost: number, nowUs: number) => [
  ...[shape.intervalUs, cost, shape.longestUs, shape.furthestUs],
  ...timeOf(nowUs),
]

const reserve = (key: string, nowUs: number, cost = 1) =>
  redis.eval(reserveSource, 1, key, ...numbers(cost, nowUs)) as Promise<Reply>
const giveBack = (key: string, nowUs: number, { cost, endsUs }: { cost: number; endsUs: number }) =>
  redis.eval(giveBackSource, 1, key, shape.intervalUs * cost, endsUs, ...timeOf(nowUs)) as Promise<0 | 1>

/** A call arrives, or the last one that waits gives up, some time after the step before. The server's clock may step back. */
const step = fc.record({
  afterUs: fc.oneof(
    fc.integer({ min: 0, max: 150 * MS }),
    fc.constant(0),
    fc.integer({ min: -60_000 * MS, max: 60_000 * MS }),
  ),
  cost: fc.integer({ min: 1, max: limit.count }),
  isGivenBack: fc.boolean(),
})
const history = fc.array(step, { minLength: 1, maxLength: 12 })

test('the scripts decide like the reference over 10,000 random histories, steps of the clock and slots given back included', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (steps) => {
      const key = newKey()
      const pipeline = redis.pipeline()
      const expected: unknown[] = []
      let [nowUs, nextUs] = [START_US, 0]
      for (const { afterUs, cost, isGivenBack } of steps) {
        nowUs += afterUs
        const slot = reserveSlot(nextUs, nowUs, { ...shape, cost })
        pipeline.eval(reserveSource, 1, key, ...numbers(cost, nowUs))
        expected.push([slot.isReserved ? 1 : 0, slot.waitUs, slot.freeInUs, slot.freeAtUs])
        nextUs = slot.freeAtUs
        if (!isGivenBack || !slot.isReserved) continue
        pipeline.eval(giveBackSource, 1, key, shape.intervalUs * cost, slot.freeAtUs, ...timeOf(nowUs))
        expected.push(slot.waitUs > 0 ? 1 : 0)
        if (slot.waitUs > 0) nextUs = nowUs + slot.waitUs
      }
      pipeline.del(key)
      const replies = ((await pipeline.exec()) ?? []).map(([error, reply]) => error?.message ?? reply)
      expect(replies.slice(0, -1)).toEqual(expected)
    }),
    { numRuns: 10_000 },
  )
}, 300_000)

test('slots are never closer than their cost allows, in the order of their reservations, and no call waits longer than the capacity', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const slots: { atUs: number; cost: number }[] = []
      let [nowUs, nextUs] = [START_US, 0]
      for (const { afterUs, cost } of steps) {
        nowUs += Math.abs(afterUs) // this clock does not step back
        const slot = reserveSlot(nextUs, nowUs, { ...shape, cost })
        nextUs = slot.freeAtUs
        expect(slot.waitUs <= shape.longestUs).toBe(slot.isReserved)
        if (slot.isReserved) slots.push({ atUs: nowUs + slot.waitUs, cost })
      }
      for (const [i, { atUs, cost }] of slots.entries()) {
        expect((slots[i + 1]?.atUs ?? Number.POSITIVE_INFINITY) - atUs).toBeGreaterThanOrEqual(cost * shape.intervalUs)
      }
      expect(mostInAPeriod(slots)).toBeLessThanOrEqual(limit.count - 1 + limit.count) // the last one may cost a whole period
      expect(mostInAPeriod(slots.map(({ atUs }) => ({ atUs, cost: 1 })))).toBeLessThanOrEqual(limit.count)
    }),
    { numRuns: 1_000 },
  )
})

/** Units released in any period, its end excluded. */
function mostInAPeriod(slots: { atUs: number; cost: number }[]) {
  const counts = slots.map(({ atUs }) =>
    slots
      .filter((other) => other.atUs >= atUs && other.atUs < atUs + limit.periodMs * MS)
      .reduce((sum, { cost }) => sum + cost, 0),
  )
  return Math.max(0, ...counts)
}

test('as many as the capacity wait behind the one that works; the next is refused with the time to wait, and writes nothing', async () => {
  const key = newKey()
  for (let i = 0; i <= capacity; i++) expect((await reserve(key, START_US)).slice(0, 2)).toEqual([1, i * 100 * MS])
  const before = await redis.get(key)
  const [isReserved, waitUs] = await reserve(key, START_US + 30 * MS)
  expect([isReserved, waitUs]).toEqual([0, 470 * MS]) // of which 400 ms are allowed: refused for 70 ms
  expect(await redis.get(key)).toBe(before)
  expect((await reserve(key, START_US + 100 * MS - 1))[0]).toBe(0)
  expect((await reserve(key, START_US + 100 * MS))[0]).toBe(1)
})

test('the last slot is given back, and one with another behind it is not', async () => {
  const key = newKey()
  await reserve(key, START_US)
  const [, , , secondEndsUs] = await reserve(key, START_US)
  const [, , , thirdEndsUs] = await reserve(key, START_US, 2)
  expect(await giveBack(key, START_US, { cost: 1, endsUs: secondEndsUs })).toBe(0)
  expect(await giveBack(key, START_US, { cost: 2, endsUs: thirdEndsUs })).toBe(1)
  expect(await giveBack(key, START_US, { cost: 2, endsUs: thirdEndsUs })).toBe(0)
  expect(await giveBack(key, START_US, { cost: 1, endsUs: secondEndsUs })).toBe(1) // it is the last by now
  expect((await reserve(key, START_US))[1]).toBe(100 * MS)
})

test('a slot that has begun is not given back', async () => {
  const key = newKey()
  const [, , , endsUs] = await reserve(key, START_US)
  expect(await giveBack(key, START_US, { cost: 1, endsUs })).toBe(0)
  expect((await reserve(key, START_US))[1]).toBe(100 * MS)
})

test('after a failover to a clock that is an hour behind, a call has its place after one period and the capacity', async () => {
  const key = newKey()
  await reserve(key, START_US)
  const behindUs = START_US - 3_600_000 * MS
  const [isReserved, waitUs] = await reserve(key, behindUs)
  expect([isReserved, waitUs]).toEqual([0, 1_400 * MS])
  expect(await redis.pttl(key)).toBeLessThanOrEqual(1_400)
  expect((await reserve(key, behindUs + 1_000 * MS))[0]).toBe(1)
})

test('control: a schedule that is not written back locks out for as long as the clocks differ', async () => {
  const key = newKey()
  const forgetful = reserveSource.replace('if isReserved or isAstray then', 'if isReserved then')
  const ask = (nowUs: number) => redis.eval(forgetful, 1, key, ...numbers(1, nowUs)) as Promise<Reply>
  await ask(START_US)
  for (const minutes of [0, 10, 50]) expect((await ask(START_US + (minutes - 60) * 60_000 * MS))[0]).toBe(0)
})

test('the key expires when the queue is empty', async () => {
  const key = newKey()
  await reserve(key, START_US, 7)
  expect(await redis.pttl(key)).toBeGreaterThan(600)
  expect(await redis.pttl(key)).toBeLessThanOrEqual(700)
})
