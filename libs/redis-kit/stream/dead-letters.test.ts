import { describe, expect, test } from 'vitest'
import { type Message, partitionOf } from './stream.ts'
import { ack, eventually, gate, setUp } from './topic.fixture.ts'
import { topicServers, topologies } from './topologies.fixture.ts'

const poison = 'poison'
const failOnPoison = (message: { body: string; fail(error: Error): Promise<unknown>; ack(): Promise<unknown> }) =>
  message.body === poison ? message.fail(new RangeError('cannot be handled')) : message.ack()

describe.each(topologies)('dead letters, %s', async (topology) => {
  const servers = await topicServers(topology)

  test.each([1, 3])(
    'a poison message is given up after exactly N deliveries, once, concurrency %d',
    async (concurrency) => {
      const { publish, consume, letters, topic, keys, partition } = setUp(servers)
      const others = gate()
      const bodies = () => seen.map(({ body }) => body)
      const handle = async (message: Message) => {
        if (bodies().includes('behind it') && bodies().includes('elsewhere')) others.open()
        // Its last delivery waits for the others: they must not wait for it. In order, one of them does, and gets its turn after.
        if (concurrency > 1 && message.deliveryCount === 3) await others.passed
        return failOnPoison(message)
      }
      const { seen } = consume('a', handle, { maxDeliveries: 3, concurrency })
      const originId = await publish({ id: 'event-x', body: poison })
      await publish({ body: 'behind it' })
      await publish({
        body: 'elsewhere',
        key: ['two', 'three', 'four'].find((key) => partitionOf(key, keys.partitions) !== partition),
      })

      await eventually(async () => (await letters.list()).letters.length).toBe(1)
      await eventually(() => bodies().toSorted()).toEqual(['behind it', 'elsewhere', poison, poison, poison])
      expect(seen.filter(({ body }) => body === poison).map(({ deliveryCount }) => deliveryCount)).toEqual([1, 2, 3])
      expect((await letters.list()).letters).toMatchObject([
        {
          eventId: 'event-x',
          originId,
          group: 'group',
          reason: 'RangeError: cannot be handled',
          attemptCount: 3,
          trace: expect.stringContaining('dead-letters.test.ts'),
          type: 'counted',
          key: 'one',
          body: poison,
        },
      ])
      await eventually(() => topic.stats('group')).toMatchObject({ pendingCount: 0, retryCount: 0, deadLetterCount: 1 })
    },
  )

  test.each([1, 3])('a message whose consumer dies each time is given up too, concurrency %d', async (concurrency) => {
    const { publish, consume, letters, redis, keys, partition } = setUp(servers)
    const id = await publish()
    const stream = keys.stream.key(partition)
    await redis.xgroup('CREATE', stream, 'group', '0')
    await redis.xreadgroup('GROUP', 'group', 'dead', 'STREAMS', stream, '>')
    await redis.call('XCLAIM', stream, 'group', 'dead', 0, id, 'RETRYCOUNT', 5)
    const { seen } = consume('b', ack, { concurrency })
    await eventually(async () => (await letters.list()).letters[0]?.attemptCount).toBe(5)
    expect(seen).toEqual([])
  })

  test('an entry that is no event becomes a dead letter with all of its fields, and never reaches a handler', async () => {
    const { publish, consume, letters, redis, keys, partition } = setUp(servers)
    const originId = await redis.xadd(keys.stream.key(partition), '*', 'surprise', '1', 'id', 'half')
    await publish({ body: 'after' })
    const { bodies } = consume('a', ack)
    await eventually(bodies).toEqual(['after'])
    expect((await letters.list()).letters).toMatchObject([
      {
        originId,
        reason: 'not an event: its fields are surprise, id',
        attemptCount: 1,
        eventId: 'half',
        otherFields: { surprise: '1' },
      },
    ])
  })

  test('a rejected message is given up at once', async () => {
    const { publish, consume, letters } = setUp(servers)
    const { seen } = consume('a', (message) => message.reject('makes no sense'))
    await publish()
    await eventually(async () => (await letters.list()).letters[0]?.reason).toBe('makes no sense')
    expect(seen.length).toBe(1)
  })

  test('an outage of what the handler needs is retried for as long as it takes, and never a dead letter', async () => {
    const { publish, consume, letters } = setUp(servers)
    const outage = new Error('the database is away')
    const { seen } = consume('a', (message) => (seen.length < 10 ? message.fail(outage) : message.ack()), {
      maxDeliveries: 2,
      retryCapMs: 50,
      isOutage: (error) => error === outage,
    })
    await publish()
    await eventually(() => seen.length).toBe(10)
    expect(seen.every(({ deliveryCount }) => deliveryCount === 1)).toBe(true)
    expect((await letters.list()).letters).toEqual([])
  })

  test('a redrive delivers it again to the group that gave it up, and to no other', async () => {
    const { publish, consume, letters, topic } = setUp(servers)
    const other = consume('a', ack, { group: 'other' })
    let isRepaired = false
    const { seen } = consume('a', (message) => (isRepaired ? message.ack() : message.reject('broken')))
    await publish({ id: 'event-x' })
    await eventually(async () => (await letters.list()).letters.length).toBe(1)

    isRepaired = true
    const [{ letterId = '' } = {}] = (await letters.list()).letters
    const redriven = await Promise.all([letters.redrive(letterId), letters.redrive(letterId)])
    expect(redriven.filter((id) => id !== undefined).length).toBe(1)
    await eventually(() => seen.map(({ eventId, deliveryCount }) => [eventId, deliveryCount])).toEqual([
      ['event-x', 1],
      ['event-x', 1],
    ])
    await eventually(() => topic.stats('group')).toMatchObject({ pendingCount: 0, deadLetterCount: 0 })
    await eventually(() => topic.stats('other')).toMatchObject({ lagCount: 0, pendingCount: 0 })
    expect(other.seen.length).toBe(1)
  })

  test('letters that no group has written are listed, found, redriven and discarded like others', async () => {
    const { redis, keys, letters } = setUp(servers)
    const dead = keys.dead.key(0)
    await redis.xadd(dead, '*', 'group', 'g', 'origin', '1-0', 'reason', 'r', 'attempts', 'foreign', 'trace', '')
    await redis.xadd(dead, '*', 'foreign', '1')
    await redis.xadd(dead, '18446744073709551614-1', 'foreign', '1')
    const { letters: found } = await letters.list()
    expect(found).toHaveLength(3)
    for (const { letterId, attemptCount, deadSinceMs } of found) {
      expect(attemptCount).toBe(0)
      expect(() => new Date(deadSinceMs).toISOString()).not.toThrow()
      expect(await letters.find(letterId)).toBeDefined()
    }
    const [first, second, third] = found.map(({ letterId }) => letterId) as [string, string, string]
    expect(await letters.redrive(first)).toBeDefined()
    expect(await letters.discard(second)).toBe(true)
    expect(await letters.redrive(third)).toBeDefined()
    expect(await letters.count()).toBe(0)
  })

  test('a list has pages over all partitions, and a discarded letter is gone', async () => {
    const { publish, consume, letters } = setUp(servers)
    consume('a', (message) => message.reject('no'))
    for (let i = 0; i < 7; i++) await publish({ key: `key-${i}` })
    await eventually(async () => (await letters.list()).letters.length).toBe(7)
    const found: string[] = []
    let cursor: string | undefined
    do {
      const page = await letters.list({ limit: 2, cursor })
      found.push(...page.letters.map(({ letterId }) => letterId))
      cursor = page.cursor
    } while (cursor)
    expect(new Set(found).size).toBe(7)
    expect(found.length).toBe(7)
    expect(await letters.count()).toBe(7)
    const [first = ''] = found
    expect(await letters.find(first)).toMatchObject({ letterId: first, reason: 'no', type: 'counted' })
    expect(await letters.discard(first)).toBe(true)
    expect(await letters.find(first)).toBeUndefined()
    expect(await letters.discard(first)).toBe(false)
    expect(await letters.redrive(first)).toBeUndefined()
    expect(await letters.redrive('99.1-1')).toBeUndefined()
    for (const impossible of ['nonsense', '0.99999999999999999999-0', '0.0-0', '']) {
      expect(await letters.find(impossible)).toBeUndefined()
      expect(await letters.redrive(impossible)).toBeUndefined()
      expect(await letters.discard(impossible)).toBe(false)
    }
  })
})
