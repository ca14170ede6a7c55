/** Only what a handler had counts as delivered: not what an outage, a lost answer or a stop has kept from it. */
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { fetches, meddle } from './meddling.fixture.ts'
import type { Message } from './stream.ts'
import { ack, eventually, gate, setUp } from './topic.fixture.ts'

const servers = await testRedis()
const maxDeliveries = 2

describe.each([1, 4])('concurrency %d', (concurrency) => {
  test('messages whose fetches got no answer reach their handlers as delivered once', async () => {
    const { publish, consume, user, letters, topic } = setUp(servers)
    let lostCount = 0
    meddle(user, (name) => {
      if (!fetches.includes(name) || lostCount >= 12) return undefined
      lostCount += 1
      return 'lost'
    })
    for (let i = 0; i < 3; i++) await publish()
    const { seen } = consume('a', ack, { concurrency, maxDeliveries })
    await eventually(() => seen.map(({ body }) => body).toSorted(), 30_000).toEqual(['1', '2', '3'])
    expect(lostCount).toBe(12)
    expect(seen.map(({ deliveryCount }) => deliveryCount)).toEqual([1, 1, 1])
    await eventually(() => topic.stats('group')).toMatchObject({ pendingCount: 0, lagCount: 0 })
    expect(await letters.count()).toBe(0)
  })

  test('messages taken over from consumers that never handed them out are delivered once', async () => {
    const { publish, consume, user, letters } = setUp(servers)
    let isLosing = true
    let lostCount = 0
    meddle(user, (name, args) => {
      if (!isLosing || !fetches.includes(name) || args.includes('own')) return undefined
      lostCount += 1
      return 'lost'
    })
    for (let i = 0; i < 3; i++) await publish()
    for (const consumer of ['a', 'b', 'c', 'd']) {
      const before = lostCount
      const { stop, seen } = consume(consumer, ack, { concurrency, maxDeliveries })
      await eventually(() => lostCount, 30_000).toBeGreaterThan(before + 2)
      await stop()
      expect(seen).toEqual([])
    }
    isLosing = false
    const { seen } = consume('e', ack, { concurrency, maxDeliveries })
    await eventually(() => seen.map(({ body }) => body).toSorted(), 30_000).toEqual(['1', '2', '3'])
    expect(seen.map(({ deliveryCount }) => deliveryCount)).toEqual([1, 1, 1])
    expect(await letters.count()).toBe(0)
  })

  test('a message that waits for a retry is not delivered by a fetch that got no answer', async () => {
    const { publish, consume, user, letters } = setUp(servers)
    let toLoseCount = 0
    meddle(user, (name) => (fetches.includes(name) && toLoseCount-- > 0 ? 'lost' : undefined))
    const handle = (message: Message) => {
      if (message.deliveryCount > 1) return message.ack()
      toLoseCount = 6
      return message.fail('not yet')
    }
    const { seen } = consume('a', handle, { concurrency, maxDeliveries })
    await publish()
    await eventually(() => seen.map(({ deliveryCount }) => deliveryCount), 30_000).toEqual([1, 2])
    expect(await letters.count()).toBe(0)
  })

  test('a hand-out whose count got no answer is counted once, and none that was only asked for', async () => {
    const { publish, consume, user, letters } = setUp(servers)
    let toLoseCount = 3
    meddle(user, (name) => (name === 'count' && toLoseCount-- > 0 ? 'lost' : undefined))
    await publish()
    const { seen } = consume('a', ack, { concurrency, maxDeliveries })
    await eventually(() => seen.map(({ deliveryCount }) => deliveryCount)).toEqual([1])
    expect(toLoseCount).toBeLessThan(0)
    expect(await letters.count()).toBe(0)
  })

  test('a first hand-out waits for no answer once counts are answered, and is counted', async () => {
    const { publish, consume, user, raw, keys, partition } = setUp(servers)
    meddle(user, (name) => (name === 'count' && seen.length > 0 ? 'lost' : undefined))
    const handling = gate()
    const { seen } = consume('a', (message) => (message.body === '1' ? message.ack() : handling.passed), {
      concurrency,
    })
    await publish()
    await eventually(() => seen.length).toBe(1)
    await publish()
    await eventually(() => seen.map(({ deliveryCount }) => deliveryCount)).toEqual([1, 1])
    await eventually(() => raw.xpending(keys.stream.key(partition), 'group', '-', '+', 9)).toMatchObject([
      [seen[1]?.id, 'a', expect.anything(), 1],
    ])
    handling.open()
  })

  test.each([
    ['is counted by its failure', false, [1, 1, 2]],
    ['is not counted by an outage', true, [1, 1, 1]],
  ])('a first hand-out whose count never arrived %s', async (_, isOutage, counts) => {
    const proxy = await startFaultProxy({ port: Number(new URL(servers.url).port) })
    onTestFinished(() => proxy.stop())
    const { publish, consume, user, letters } = setUp({ ...servers, userUrl: proxy.via(servers.url) })
    meddle(user, (name) => {
      // The count leaves this process and does not reach the server.
      if (name === 'count' && seen.length === 1) proxy.blackHole()
      return undefined
    })
    const handle = async (message: Message) => {
      if (seen.length !== 2) return message.ack()
      await proxy.heal()
      return message.fail(new Error('failed'))
    }
    const { seen } = consume('a', handle, { concurrency, isOutage: () => isOutage, minIdleMs: 10_000 })
    await publish()
    await eventually(() => seen.length).toBe(1)
    await publish()
    await eventually(() => seen.map(({ deliveryCount }) => deliveryCount)).toEqual(counts)
    expect(await letters.count()).toBe(0)
  })

  test('a count that is refused ends the loop with the error, although its message was handed out', async () => {
    const { publish, consume, user } = setUp(servers)
    const refusal = Object.assign(new Error('NOPERM by the test'), { name: 'ReplyError' })
    meddle(user, (name) => (name === 'count' && seen.length > 0 ? refusal : undefined))
    const { seen, done } = consume('a', ack, { concurrency })
    await publish()
    await eventually(() => seen.length).toBe(1)
    await publish()
    await expect(done).rejects.toThrow('NOPERM by the test')
    expect(seen.length).toBe(2)
  })

  test('a reader that stops before the hand-out leaves the message as it was', async () => {
    const { publish, consume, user } = setUp(servers)
    let isLosing = true
    let askedCount = 0
    meddle(user, (name) => {
      if (name !== 'count' || !isLosing) return undefined
      askedCount += 1
      return 'lost'
    })
    await publish()
    const first = consume('a', ack, { concurrency })
    await eventually(() => askedCount).toBeGreaterThan(1)
    const stopped = first.stop()
    isLosing = false // the count is taken back
    await stopped
    expect(first.seen).toEqual([])
    const second = consume('a', ack, { concurrency })
    await eventually(() => second.seen.map(({ deliveryCount }) => deliveryCount)).toEqual([1])
  })

  test('a handler that has a message and leaves no trace is counted, and the message given up after exactly so many', async () => {
    const { publish, consume, letters } = setUp(servers)
    await publish()
    const counts: number[] = []
    for (let life = 0; life < 3; life++) {
      const { done, seen } = consume('a', () => Promise.reject(new Error('the process dies')), {
        concurrency,
        maxDeliveries: 3,
      })
      await eventually(() => seen.length).toBe(1)
      await done.catch(() => undefined)
      counts.push(...seen.map(({ deliveryCount }) => deliveryCount))
    }
    const { seen } = consume('a', ack, { concurrency, maxDeliveries: 3 })
    await eventually(async () => (await letters.list()).letters.map(({ attemptCount }) => attemptCount)).toEqual([3])
    expect(counts).toEqual([1, 2, 3])
    expect(seen).toEqual([])
  })

  test('an outage of Redis and of what the handler needs at the same time is not held against the message', async () => {
    const { publish, consume, user, letters } = setUp(servers)
    let toKeepCount = 0
    meddle(user, (name) => (name === 'retry' && toKeepCount-- > 0 ? 'unsent' : undefined))
    const outage = new Error('the database is away')
    const handle = (message: Message) => {
      if (seen.length > 3) return message.ack()
      toKeepCount = 2
      return message.fail(outage)
    }
    const isOutage = (error: unknown) => error === outage
    const { seen } = consume('a', handle, { concurrency, maxDeliveries, isOutage, retryCapMs: 50 })
    await publish()
    await eventually(() => seen.map(({ deliveryCount }) => deliveryCount), 30_000).toEqual([1, 1, 1, 1])
    expect(await letters.count()).toBe(0)
  })

  test('a message that is in hand is not handed out again by the same reader after a fetch without an answer', async () => {
    const { publish, consume, user } = setUp(servers)
    const handling = gate()
    let toLoseCount = 0
    meddle(user, (name) => (fetches.includes(name) && toLoseCount-- > 0 ? 'lost' : undefined))
    const { seen } = consume(
      'a',
      async (message) => {
        if (message.body === '1') await handling.passed
        await message.ack()
      },
      { concurrency },
    )
    await publish()
    await eventually(() => seen.length).toBe(1)
    toLoseCount = concurrency === 1 ? 0 : 2
    await publish()
    if (concurrency > 1) await eventually(() => seen.length).toBe(2)
    handling.open()
    await eventually(() => seen.map(({ body, deliveryCount }) => [body, deliveryCount])).toEqual([
      ['1', 1],
      ['2', 1],
    ])
  })
})

test('a fetch of more messages than fit on the stack of Lua is handed out', async () => {
  const { raw, topic, keys, connect } = setUp(servers)
  const count = 9000
  const adding = raw.pipeline()
  for (let i = 0; i < count; i++) {
    adding.xadd(keys.stream.key(0), '*', 'id', `event-${i}`, 'key', 'one', 'type', 'counted', 'body', String(i))
  }
  await adding.exec()
  const { signal } = new AbortController()
  const batches = topic.readBatches({ group: 'group', consumer: 'a', connect, signal, batchCount: 10_000 })
  const { value: batch } = await batches.next()
  expect(batch?.messages.length).toBe(count)
  expect(await batch?.ack()).toBe(count)
  await batches.return?.()
})
