import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis, connectSubscriber, type Subscriber, whenReady } from '@shop/redis-kit/connection'
import { createChannel } from '@shop/redis-kit/pubsub'
import { createLog } from '@shop/service-kit/telemetry/log'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { keys } from '../keys.ts'
import { createLiveOrders, type Hint } from './live.ts'
import type { StoredEntry } from './row.ts'

const server = await startRedis()
const link = await startFaultProxy({ port: server.port })
const redis = connectRedis(server.url, { name: 'test' })
await whenReady(redis, 5_000)
const log = createLog({ service: 'test', instanceId: 'test', level: 'silent' })
const subscribers: Subscriber[] = []
afterEach(() => link.heal())
afterAll(async () => {
  await Promise.all(subscribers.map((subscriber) => subscriber.close()))
  await closeRedis(redis)
  await link.stop()
  await server.stop()
})

const patience = { timeout: 10_000, interval: 10 }
const hour = 3_600_000

/** An order whose timeline is a list, and how it is followed by an instance that looks by itself only so often. */
function startFollowing({ lookEveryMs, after = 0 }: { lookEveryMs: number; after?: number }) {
  const subscriber = connectSubscriber(link.url, { name: 'test-live' })
  subscribers.push(subscriber)
  const hints = createChannel<Hint>(redis, subscriber, { keys: keys.status })
  const live = createLiveOrders({ hints, log, lookEveryMs })
  const orderId = randomUUID()
  const timeline: StoredEntry[] = []
  const seen: number[] = []
  const reading = { count: 0 }
  const store = {
    entriesAfter: async (_id: string, number: number) => {
      reading.count += 1
      return timeline.filter((entry) => entry.number > number)
    },
  }
  const stopping = new AbortController()
  const done = (async () => {
    for await (const { number } of live.follow(store, { orderId, after, signal: stopping.signal })) seen.push(number)
  })()
  /** Commits a step; whether anybody is told of it is another matter. */
  const write = (status: string) => timeline.push({ number: timeline.length + 1, status } as StoredEntry)
  const tell = () => live.tell(orderId, timeline.length)
  const isListening = () => expect.poll(() => hints.stats().listenerCount, patience).toBe(1)
  return { live, hints, write, tell, seen, reading, done, stopping, isListening, isHealthy: subscriber.isHealthy }
}

describe('following an order', () => {
  it('brings each step as it is told, once, and ends when the order is settled; nobody listens any more then', async () => {
    const { write, tell, seen, done, hints, isListening, isHealthy } = startFollowing({ lookEveryMs: hour })
    await isListening()
    await expect.poll(isHealthy, patience).toBe(true)
    for (const status of ['pending', 'reserved', 'reserved', 'confirmed']) {
      write(status)
      tell()
      tell()
    }
    await done
    expect(seen).toEqual([1, 2, 3, 4])
    expect(hints.stats().listenerCount).toBe(0)
  })

  it('begins after what was seen', async () => {
    const { write, tell, seen, done, isListening } = startFollowing({ lookEveryMs: hour, after: 2 })
    for (const status of ['pending', 'reserved', 'reserved']) write(status)
    await expect.poll(() => seen, patience).toEqual([3])
    await isListening()
    write('cancelled')
    tell()
    await done
    expect(seen).toEqual([3, 4])
  })

  it('looks only when there is something: a hint of what it has seen costs nothing', async () => {
    const { write, tell, seen, reading, stopping, done, isListening } = startFollowing({ lookEveryMs: hour })
    await isListening()
    write('pending')
    tell()
    await expect.poll(() => seen, patience).toEqual([1])
    const { count } = reading
    for (let i = 0; i < 50; i++) tell()
    await redis.ping() // after them on the same connection
    write('reserved')
    tell()
    await expect.poll(() => seen, patience).toEqual([1, 2])
    expect(reading.count).toBeLessThanOrEqual(count + 2)
    stopping.abort()
    await done
  })

  it('is only late when a hint is lost: it looks now and then by itself', async () => {
    const { write, seen, done } = startFollowing({ lookEveryMs: 50 })
    write('pending')
    await expect.poll(() => seen, patience).toEqual([1])
    write('confirmed')
    await done
    expect(seen).toEqual([1, 2])
  })

  it('looks again when messages may have been missed', async () => {
    const { write, tell, seen, done, isListening, isHealthy } = startFollowing({ lookEveryMs: hour })
    await isListening()
    await expect.poll(isHealthy, patience).toBe(true)
    write('pending')
    tell()
    await expect.poll(() => seen, patience).toEqual([1])
    await link.refuse()
    await expect.poll(isHealthy, patience).toBe(false)
    write('confirmed')
    tell() // to nobody
    await link.heal()
    await done
    expect(seen).toEqual([1, 2])
  })

  it('goes on while Postgres is away, and counts what could not be told while Redis is', async () => {
    const outage = Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
    const { live, hints } = startFollowing({ lookEveryMs: hour })
    let failures = 3
    const store = {
      async entriesAfter() {
        if (failures-- > 0) throw outage
        return [{ number: 1, status: 'confirmed' } as StoredEntry]
      },
    }
    const impatient = createLiveOrders({ hints, log, lookEveryMs: 10 })
    const seen: number[] = []
    for await (const { number } of impatient.follow(store, {
      orderId: randomUUID(),
      after: 0,
      signal: new AbortController().signal,
    })) {
      seen.push(number)
    }
    expect(seen).toEqual([1])
    const broken = { ...hints, publish: () => Promise.reject(outage) }
    const mute = createLiveOrders({ hints: broken, log })
    mute.tell(randomUUID(), 1)
    await expect.poll(mute.lostCount, patience).toBe(1)
    expect(live.lostCount()).toBe(0)
  })
})
