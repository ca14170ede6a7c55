import { randomUUIDv7 } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { meddle } from './meddling.fixture.ts'
import type { ReadBatchesOptions } from './reader.ts'
import { type Batch, type Message, partitionOf } from './stream.ts'
import { ack, eventually, gate, minIdleMs, setUp } from './topic.fixture.ts'
import { topicServers, topologies } from './topologies.fixture.ts'

/** An id of that time. */
const uuidV7 = (createdMs: number) => {
  const time = createdMs.toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}${randomUUIDv7().slice(13)}`
}

describe.each(topologies)('a topic, %s', async (topology) => {
  const servers = await topicServers(topology)

  describe('publishing', () => {
    test('the same event id is appended once and answers the same id', async () => {
      const { publish, topic, redis, keys, partition } = setUp(servers)
      const ids = await Promise.all(Array.from({ length: 10 }, () => publish({ id: 'same' })))
      expect(new Set(ids).size).toBe(1)
      expect((await topic.stats('group')).lengthCount).toBe(1)

      // Negative control: a bare XADD that is repeated because its answer was lost is there twice.
      const stream = keys.stream.key(partition)
      await redis.xadd(stream, '*', 'id', 'same')
      await redis.xadd(stream, '*', 'id', 'same')
      expect(await redis.xlen(stream)).toBe(3)
    })

    test('all events of a key go to one partition, and keys are spread evenly', async () => {
      const counts = [0, 0, 0, 0]
      for (let i = 0; i < 4000; i++) {
        const partition = partitionOf(crypto.randomUUID(), 4)
        counts[partition] = (counts[partition] ?? 0) + 1
      }
      expect(Math.min(...counts)).toBeGreaterThan(850)
      expect(partitionOf('a key', 4)).toBe(partitionOf('a key', 4))
    })

    test('the fuse drops the oldest entries and says so', async () => {
      const { publish, topic, dropped } = setUp(servers, { maxLengthCount: 100 })
      await Promise.all(Array.from({ length: 300 }, () => publish()))
      const { lengthCount } = await topic.stats('group')
      expect(lengthCount).toBeLessThan(300)
      expect(dropped.reduce((sum, count) => sum + count, 0)).toBe(300 - lengthCount)
    })

    test('events of one tick keep their order, whatever their ids, and those of one id are one', async () => {
      const { publish, redis, keys, partition } = setUp(servers)
      const ids = Array.from({ length: 40 }, (_, i) =>
        i % 3 === 0 ? `event-${i}` : uuidV7(1_763_911_234_000 + (i % 7)),
      )
      const streamIds = await Promise.all([...ids, ...ids].map((id) => publish({ id })))
      const entries = await redis.xrange(keys.stream.key(partition), '-', '+')
      expect(entries.map(([, [, id]]) => id)).toEqual(ids)
      expect(streamIds).toEqual([...entries, ...entries].map(([id]) => id))
    })

    test('an id is remembered for its time and not for ever, whatever its form and the clocks', async () => {
      const { publish, redis, keys, partition } = setUp(servers, { dedupeMs: 1000 })
      const now = Date.now()
      const ids = ['plain', uuidV7(now), uuidV7(0), uuidV7(now + 86_400_000), uuidV7(now - 90 * 86_400_000)]
      const first = await Promise.all(ids.map((id) => publish({ id })))
      expect(await Promise.all(ids.map((id) => publish({ id })))).toEqual(first)
      await eventually(() => redis.exists(keys.seen.key(partition, 'plain'))).toBe(0)
      expect(await publish({ id: 'plain' })).not.toBe(first[0])
    })

    test('two events whose marks happen to be the same are two', async () => {
      const { publish, topic } = setUp(servers)
      const id = uuidV7(1_763_911_234_000)
      const twin = `${id.slice(0, 15)}${id[15] === '0' ? '1' : '0'}${id.slice(16)}` // the same time, the same last digits
      expect(await publish({ id: twin })).not.toBe(await publish({ id }))
      expect(await publish({ id: twin })).not.toBe(await publish({ id })) // the mark of one has replaced that of the other
      expect((await topic.stats('group')).lengthCount).toBeGreaterThan(1)
    })

    test('an event whose entry was lost is appended again, though it is remembered', async () => {
      const { publish, redis, keys, partition } = setUp(servers)
      const lost = await publish({ id: 'event-x' })
      await redis.xdel(keys.stream.key(partition), lost)
      expect(await publish({ id: 'event-x' })).not.toBe(lost)
    })

    test('of events that were published together, only those whose entries were lost are appended again', async () => {
      const { publish, redis, keys, partition } = setUp(servers)
      const events = Array.from({ length: 100 }, () => ({ id: uuidV7(1_763_911_234_000) }))
      const before = await Promise.all(events.map(publish))
      const lost = [0, 1, 31, 32, 70, 99]
      await redis.xdel(keys.stream.key(partition), ...lost.map((at) => before[at] as string))
      const after = await Promise.all(events.map(publish))
      expect([...after.keys()].filter((at) => after[at] !== before[at])).toEqual(lost)
      expect(await Promise.all(events.map(publish))).toEqual(after)
    })

    test('nothing is appended to a stream that has lost what it had confirmed', async () => {
      const { publish, redis, keys, partition, reached, topic } = setUp(servers)
      await publish()
      const lost = await publish()
      reached.set(partition, lost)
      await publish()
      await redis.xtrim(keys.stream.key(partition), 'MAXLEN', 0)
      const refused = await Promise.allSettled([publish(), publish()])
      expect(refused.map((one) => one.status === 'rejected' && one.reason.name)).toEqual(
        Array(2).fill('StreamRegressed'),
      )
      expect((await topic.stats('group')).lengthCount).toBe(0)
      reached.set(partition, '')
      await publish()

      // Negative control: a publisher that knows nothing of it goes on, and the hole is noticed by nobody.
      await redis.del(keys.stream.key(partition))
      await publish()
      expect((await topic.stats('group')).lengthCount).toBe(1)
    })
  })

  describe('reading', () => {
    test('a new group gets what was published before it existed, in order, and nothing twice', async () => {
      const { publish, consume, topic } = setUp(servers)
      for (let i = 0; i < 20; i++) await publish({ key: `key-${i % 5}` })
      const { seen, stop } = consume('a', ack)
      await eventually(() => seen.length).toBe(20)
      for (let i = 0; i < 5; i++) {
        const numbers = seen.filter(({ key }) => key === `key-${i}`).map(({ body }) => Number(body))
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
      }
      expect(seen.every(({ deliveryCount }) => deliveryCount === 1)).toBe(true)
      await stop()
      expect(await topic.stats('group')).toMatchObject({ lagCount: 0, pendingCount: 0, oldestAgeMs: 0 })
    })

    test('every group gets every event', async () => {
      const { publish, consume } = setUp(servers)
      await publish()
      const [one, two] = [consume('a', ack, { group: 'one' }), consume('a', ack, { group: 'two' })]
      await eventually(() => [one.seen.length, two.seen.length]).toEqual([1, 1])
    })

    test('many workers over one iterator get each message once', async () => {
      const { publish, consume } = setUp(servers)
      const { seen } = consume('a', ack, { concurrency: 8 })
      await Promise.all(Array.from({ length: 200 }, (_, i) => publish({ key: `key-${i}` })))
      await eventually(() => seen.length).toBe(200)
      expect(new Set(seen.map(({ eventId }) => eventId)).size).toBe(200)
    })

    test('stopping ends the loop after the message in hand, which may still be acked, and leaves no connection', async () => {
      const { publish, consume, topic, raw, service } = setUp(servers)
      const handling = gate()
      const { seen, stop, done } = consume('a', async (message) => {
        await handling.passed
        expect(await message.ack()).toBe(true)
      })
      await publish()
      await publish()
      await eventually(() => seen.length).toBe(1)
      const stopped = stop()
      handling.open()
      await Promise.all([stopped, done])
      expect(seen.length).toBe(1)
      expect(await topic.stats('group')).toMatchObject({ lagCount: 1, pendingCount: 0 })
      if (topology !== 'cluster') {
        await eventually(async () => String(await raw.call('CLIENT', 'LIST'))).not.toContain(`${service}-blocking`)
      }
    })

    test('a loop that is left with a message in hand gets it again at once when it starts anew', async () => {
      const { publish, consume } = setUp(servers)
      const first = consume('a', () => Promise.reject(new Error('broken')))
      await publish()
      await expect(first.done).rejects.toThrow('broken')
      const second = consume('a', ack)
      await eventually(() => second.seen.map(({ deliveryCount }) => deliveryCount)).toEqual([2])
    })

    test('a key of another type ends the loop with the error', async () => {
      const { consume, redis, keys } = setUp(servers)
      await redis.set(keys.stream.key(0), 'not a stream', 'PX', 60_000)
      await expect(consume('a', ack).done).rejects.toThrow('WRONGTYPE')
    })

    test('a beat that can never work ends the loop with the error, and does not leave it idle', async () => {
      const { consume, redis, keys } = setUp(servers)
      await redis.set(keys.members.key(0, 'group'), 'not a set', 'PX', 60_000)
      await expect(consume('a', ack).done).rejects.toThrow('WRONGTYPE')
    })

    test('a partition whose new messages cannot be fetched fails, although its pending ones can be looked at', async () => {
      const { consume, user, publish } = setUp(servers, { partitions: 1 })
      let [isRefused, okCount, failedCount] = [false, 0, 0]
      meddle(user, (name) => (isRefused && name === 'next-any' ? 'unsent' : undefined))
      const pulse = {
        ok(part?: string) {
          if (part === 'partition 0') okCount += 1
        },
        failed() {
          failedCount += 1
        },
      }
      const { seen } = consume('a', ack, { pulse, blockMs: 20, concurrency: 4 })
      await publish()
      await eventually(() => seen.length).toBe(1)
      isRefused = true
      await eventually(() => failedCount).toBeGreaterThan(0)
      okCount = 0
      await eventually(() => failedCount).toBeGreaterThan(4)
      expect(okCount).toBe(0)
      isRefused = false
      await eventually(() => okCount).toBeGreaterThan(0)
    })

    test('each partition says whether its rounds work', async () => {
      const { consume, user, publish } = setUp(servers, { partitions: 1 })
      const failing = new Set<string | undefined>()
      let isAway = false
      meddle(user, () => (isAway ? 'unsent' : undefined))
      const pulse = {
        ok: (part?: string) => void failing.delete(part),
        failed: (_: unknown, part?: string) => void failing.add(part),
      }
      const { seen } = consume('a', ack, { pulse, blockMs: 20 })
      await publish()
      await eventually(() => seen.length).toBe(1)
      isAway = true
      await eventually(() => [...failing].sort()).toEqual(['beat', 'partition 0'])
      isAway = false
      await eventually(() => failing.size).toBe(0)
    })
  })

  describe('reading in batches', () => {
    /** Batches of two partitions, noted as they come. */
    function consumeBatches(
      { topic, connect }: ReturnType<typeof setUp>,
      handle: (batch: Batch) => Promise<unknown>,
      options: Partial<ReadBatchesOptions> = {},
    ) {
      const stopping = new AbortController()
      const seen: Batch[] = []
      const loop = async () => {
        const batches = topic.readBatches({
          group: 'group',
          consumer: 'a',
          connect,
          signal: stopping.signal,
          minIdleMs,
          retryBaseMs: 20,
          ...options,
        })
        for await (const batch of batches) {
          seen.push(batch)
          await handle(batch)
        }
      }
      const running = loop()
      onTestFinished(async () => {
        stopping.abort()
        await running
      })
      return { seen, bodies: () => seen.map(({ messages }) => messages.map(({ body }) => body)) }
    }

    test('a batch is what there is, up to its size, of one partition, and is finished as one', async () => {
      const setting = setUp(servers)
      await Promise.all(Array.from({ length: 25 }, () => setting.publish()))
      const { seen, bodies } = consumeBatches(setting, (batch) => batch.ack(), { batchCount: 10 })
      await eventually(() => bodies().flat().length).toBe(25)
      expect(bodies()[0]?.length).toBe(10)
      expect(Math.max(...bodies().map(({ length }) => length))).toBe(10)
      for (const { messages } of seen) expect(new Set(messages.map(({ partition }) => partition)).size).toBe(1)
      await setting.publish()
      await eventually(() => bodies().at(-1)).toEqual(['26']) // it waits for no company
      await eventually(() => setting.topic.stats('group')).toMatchObject({ pendingCount: 0, lagCount: 0 })
    })

    test('what fails of a batch comes again, without the rest, and is given up after so many deliveries', async () => {
      const setting = setUp(servers)
      await Promise.all(Array.from({ length: 5 }, () => setting.publish()))
      const handle = async (batch: Batch) => {
        await Promise.all(batch.messages.filter(({ body }) => body === '3').map(({ fail }) => fail('not this one')))
        expect(await batch.ack()).toBe(batch.messages.filter(({ body }) => body !== '3').length)
      }
      const { bodies } = consumeBatches(setting, handle, { maxDeliveries: 3 })
      await eventually(async () =>
        (await setting.letters.list()).letters.map(({ body, attemptCount }) => [body, attemptCount]),
      ).toEqual([['3', 3]])
      expect(bodies().flat().toSorted()).toEqual(['1', '2', '3', '3', '3', '4', '5'])
      await eventually(() => setting.topic.stats('group')).toMatchObject({ pendingCount: 0, retryCount: 0 })
    })

    test('a batch that fails as one comes again as one', async () => {
      const setting = setUp(servers)
      await Promise.all(Array.from({ length: 4 }, () => setting.publish()))
      const { seen } = consumeBatches(setting, (batch) =>
        batch.messages.every(({ deliveryCount }) => deliveryCount === 1)
          ? batch.fail('the table is away')
          : batch.ack(),
      )
      await eventually(() => setting.topic.stats('group')).toMatchObject({ pendingCount: 0, lagCount: 0 })
      const deliveries = seen.flatMap(({ messages }) => messages.map(({ deliveryCount }) => deliveryCount))
      expect(deliveries.toSorted()).toEqual([1, 1, 1, 1, 2, 2, 2, 2])
    })

    test('a batch that takes five times the silence that counts is had once, and one left behind is taken over', async () => {
      const setting = setUp(servers)
      await Promise.all(Array.from({ length: 4 }, () => setting.publish()))
      const stream = setting.keys.stream.key(setting.partition)
      await setting.redis.xgroup('CREATE', stream, 'group', '0')
      await setting.redis.xreadgroup('GROUP', 'group', 'dead', 'COUNT', 2, 'STREAMS', stream, '>')
      const handling = gate()
      setTimeout(handling.open, 5 * minIdleMs)
      const slow = consumeBatches(setting, async (batch) => {
        await handling.passed
        expect(await batch.ack()).toBe(batch.messages.length)
      })
      await eventually(() => slow.seen.length).toBe(1)
      const other = consumeBatches(setting, (batch) => batch.ack(), { consumer: 'b' })
      await eventually(() => setting.topic.stats('group')).toMatchObject({ pendingCount: 0, lagCount: 0 })
      expect([...slow.bodies(), ...other.bodies()].flat().toSorted()).toEqual(['1', '2', '3', '4'])
    })
  })

  describe.each([1, 4])('ownership, concurrency %d', (concurrency) => {
    test('a handler that takes five times the silence that counts runs once', async () => {
      const { publish, consume } = setUp(servers)
      const handling = gate()
      setTimeout(handling.open, 5 * minIdleMs)
      const first = consume(
        'a',
        async (message) => {
          await handling.passed
          expect(await message.ack()).toBe(true)
        },
        { concurrency },
      )
      await publish()
      await eventually(() => first.seen.length).toBe(1)
      const second = consume('b', ack, { concurrency })
      await handling.passed
      await first.stop()
      expect(second.seen).toEqual([])
    })

    test('what a silent consumer left is taken over', async () => {
      const { publish, consume, redis, keys, partition } = setUp(servers)
      await publish()
      const stream = keys.stream.key(partition)
      await redis.xgroup('CREATE', stream, 'group', '0')
      // It read, and was never heard of again: the negative control to the handler that is kept alive.
      await redis.xreadgroup('GROUP', 'group', 'dead', 'STREAMS', stream, '>')
      const { seen } = consume('b', ack, { concurrency })
      await eventually(() => seen.map(({ body, deliveryCount }) => [body, deliveryCount])).toEqual([['1', 2]])
    })

    test('the ack of a stale owner does not count', async () => {
      const { publish, consume, redis, keys, partition } = setUp(servers)
      const handling = gate()
      const acks: boolean[] = []
      const { seen, facts } = consume(
        'a',
        async (message) => {
          await handling.passed
          acks.push(await message.ack())
        },
        { concurrency },
      )
      const id = await publish()
      await eventually(() => seen.length).toBe(1)
      const stream = keys.stream.key(partition)
      await redis.call('XCLAIM', stream, 'group', 'other', 0, id)
      await eventually(() => facts.map(({ fact }) => fact)).toContain('ownership-lost')
      handling.open()
      await eventually(() => acks[0]).toBe(false)
      if (concurrency === 1) return // the reader of the partition takes it back at once
      const [pending] = (await redis.xpending(stream, 'group', id, id, 1)) as [string, string][]
      expect(pending?.[1]).toBe('other')

      // Negative control: the bare command takes it from whoever has it.
      expect(await redis.xack(stream, 'group', id)).toBe(1)
    })

    test('a handler that never returns is given up on, and its late ack does not count', async () => {
      const { publish, consume } = setUp(servers)
      const handling = gate()
      const acks: boolean[] = []
      const { seen } = consume(
        'a',
        async (message) => {
          if (message.deliveryCount === 1) await handling.passed
          acks.push(await message.ack())
        },
        { concurrency, maxHoldMs: 200 },
      )
      await publish()
      await eventually(() => seen.length).toBe(1)
      // One worker hangs; in ordered mode another one has to ask.
      const helper = concurrency === 1 ? consume('b', async (message) => acks.push(await message.ack())) : undefined
      if (helper) await eventually(() => helper.seen.length).toBe(1)
      else await eventually(() => seen.length).toBe(2)
      handling.open()
      await eventually(() => acks.toSorted()).toEqual([false, true])
    })
  })

  describe('order', () => {
    test('consumers share the partitions, and a key stays in order when they come and go', async () => {
      const { publish, consume } = setUp(servers, { partitions: 4 })
      const handled: [key: string, number: number, consumer: string][] = []
      const handler = (name: string) => async (message: { key: string; body: string; ack(): Promise<boolean> }) => {
        if (await message.ack()) handled.push([message.key, Number(message.body), name])
      }
      const publishSome = async () => {
        for (let i = 0; i < 60; i++) await publish({ key: `key-${i % 12}` })
      }
      const first = consume('a', handler('a'))
      await publishSome()
      await eventually(() => handled.length).toBe(60)
      consume('b', handler('b'))
      consume('c', handler('c'))
      await eventually(async () => {
        await publishSome()
        return new Set(handled.slice(-60).map(([, , consumer]) => consumer)).size
      }).toBe(3)
      await first.stop()
      await publishSome()
      await eventually(() => handled.slice(-60).filter(([, , consumer]) => consumer !== 'a').length).toBe(60)
      for (let i = 0; i < 12; i++) {
        const numbers = handled.filter(([key]) => key === `key-${i}`).map(([, number]) => number)
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
        expect(new Set(numbers).size).toBe(numbers.length)
      }
    })

    test('a message that fails holds its partition until it succeeds', async () => {
      const { publish, consume } = setUp(servers)
      const { bodies } = consume('a', (message) =>
        message.body === '2' && message.deliveryCount < 3 ? message.fail(new Error('not yet')) : message.ack(),
      )
      for (let i = 0; i < 3; i++) await publish()
      await eventually(bodies).toEqual(['1', '2', '2', '2', '3'])
    })

    test('with more than one in hand, a message that fails holds up nobody', async () => {
      const { publish, consume } = setUp(servers)
      const acked: string[] = []
      // The first one fails until the others are through: where it held them up it would become a dead letter.
      const handle = async (message: Message) => {
        if (message.body === '1' && acked.length < 2) return message.fail('not yet')
        await message.ack()
        acked.push(message.body)
      }
      consume('a', handle, { concurrency: 2, retryBaseMs: 500, maxDeliveries: 10 })
      for (let i = 0; i < 3; i++) await publish()
      await eventually(() => acked.length).toBe(3)
      expect(acked[2]).toBe('1')
    })
  })
})
