/**
 * A partition's lease vanishes from a reader that lives: no reader may sleep on it. Full length:
 *
 *     SHOP_LEASE_RACES=200 SHOP_LEASE_BLOCKS=50 npx vitest run --project redis-kit stream/lost-wake-up
 */
import { createRandom, integerOf } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { meddle, type Verdict } from './meddling.fixture.ts'
import { ack, eventually, minIdleMs, setUp } from './topic.fixture.ts'

const raceCount = Number(process.env.SHOP_LEASE_RACES ?? 20)
const blockCount = Number(process.env.SHOP_LEASE_BLOCKS ?? 2)
const seed = Number(process.env.SHOP_SEED ?? Math.floor(Math.random() * 1_000_000))
const servers = await testRedis()

/** Beats after which a reader that has not gone on never will. */
const manyBeats = 10

/** Stops scripts before they are sent, until the test lets them go. */
function createLock() {
  const waiting = new Map<string, () => void>()
  let wanted: string[] = []
  let beatCount = 0
  return { judge, stopNext, isStopped: (name: string) => waiting.has(name), letGo, beatCount: () => beatCount }

  function judge(name: string): Verdict {
    if (name === 'lease') beatCount += 1
    if (!wanted.includes(name)) return undefined
    wanted = wanted.filter((one) => one !== name)
    return new Promise<void>((resolve) => waiting.set(name, resolve))
  }
  function stopNext(...names: string[]) {
    wanted = names
  }
  function letGo(name: string) {
    waiting.get(name)?.()
    waiting.delete(name)
  }
}

test(`a reader whose lease is deleted with a fetch and a beat in flight goes on, ${raceCount} rounds, seed ${seed}`, {
  timeout: 600_000,
}, async () => {
  const { publish, consume, user, redis, keys, partition } = setUp(servers, { partitions: 1 })
  const random = createRandom(seed)
  const lock = createLock()
  meddle(user, lock.judge)
  const { bodies } = consume('a', ack, { blockMs: 20 })
  await publish()
  await eventually(() => bodies().length).toBe(1)
  const slowest = { beats: 0 }
  for (let round = 2; round <= raceCount + 1; round++) {
    lock.stopNext('next-in-order', 'lease')
    await eventually(() => lock.isStopped('next-in-order') && lock.isStopped('lease')).toBe(true)
    await redis.del(keys.lease.key(partition, 'group'))
    const order = ['next-in-order', 'lease']
    if (random() < 0.5) order.reverse()
    for (const name of order) {
      lock.letGo(name)
      for (let turns = integerOf(random, 0, 30); turns > 0; turns--) await new Promise(setImmediate)
    }
    const before = lock.beatCount()
    await publish()
    await eventually(() => bodies().length === round || lock.beatCount() > before + manyBeats).toBe(true)
    expect({ round, handledCount: bodies().length }).toEqual({ round, handledCount: round })
    slowest.beats = Math.max(slowest.beats, lock.beatCount() - before)
  }
  process.stdout.write(`lease races, seed ${seed}: ${JSON.stringify({ raceCount, slowest })}\n`)
})

test(`readers whose event loop is blocked past their lease go on, ${blockCount} rounds`, {
  timeout: 600_000,
}, async () => {
  const { publish, consume, topic } = setUp(servers, { partitions: 4 })
  const readers = ['a', 'b'].map((name) => consume(name, ack, { blockMs: 20, minIdleMs }))
  const handled = () => new Set(readers.flatMap(({ bodies }) => bodies())).size
  let publishedCount = 0
  const publishSome = async () => {
    for (let i = 0; i < 8; i++) await publish({ key: `key-${i}` })
    publishedCount += 8
  }
  for (let round = 0; round < blockCount; round++) {
    const publishing = publishSome()
    // With commands in flight: the loop has turned a few times since they were sent.
    for (let turns = round % 5; turns > 0; turns--) await new Promise(setImmediate)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
    await publishing
    await publishSome()
    await eventually(handled, 20_000).toBe(publishedCount)
  }
  await eventually(() => topic.stats('group'), 20_000).toMatchObject({ lagCount: 0, pendingCount: 0 })
  onTestFinished(
    () => void process.stdout.write(`blocked event loop: ${JSON.stringify({ blockCount, publishedCount })}\n`),
  )
})
