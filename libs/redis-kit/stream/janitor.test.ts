import { describe, expect, test } from 'vitest'
import { createJanitor } from './janitor.ts'
import { ack, eventually, gate, setUp } from './topic.fixture.ts'
import { topicServers, topologies } from './topologies.fixture.ts'

describe.each(topologies)('the janitor, %s', async (topology) => {
  const servers = await topicServers(topology)

  test('nothing is dropped that a slow group has still to read or to finish', async () => {
    const { publish, consume, topic, user, keys } = setUp(servers)
    const janitor = createJanitor(user, { keys, retainMs: 0 })
    for (let i = 0; i < 300; i++) await publish()
    const fast = consume('a', ack, { group: 'fast', concurrency: 20 })
    await eventually(() => fast.seen.length).toBe(300)
    const handling = gate()
    const slow = consume(
      'a',
      async (message) => {
        if (message.body === '101') await handling.passed
        await message.ack()
      },
      { group: 'slow' },
    )
    await eventually(() => slow.seen.length).toBe(101)

    expect((await janitor.tidy()).droppedCount).toBe(100)
    expect((await topic.stats('slow')).lagCount).toBe(199)
    handling.open()
    await eventually(() => slow.seen.length).toBe(300)
    await slow.stop()
    await janitor.tidy()
    expect((await topic.stats('slow')).lengthCount).toBe(1) // the last one is where both groups stand
  })

  test('negative control: MAXLEN drops what is pending and unread', async () => {
    const { publish, redis, keys, partition } = setUp(servers)
    const stream = keys.stream.key(partition)
    for (let i = 0; i < 4; i++) await publish()
    await redis.xgroup('CREATE', stream, 'group', '0')
    await redis.xreadgroup('GROUP', 'group', 'a', 'COUNT', 2, 'STREAMS', stream, '>')
    expect(await redis.xtrim(stream, 'MAXLEN', 1)).toBe(3)
  })

  test.each([1, 4])('messages trimmed by hand are survived and counted, concurrency %d', async (concurrency) => {
    const { publish, consume, topic, redis, keys, partition } = setUp(servers)
    const stream = keys.stream.key(partition)
    for (let i = 0; i < 5; i++) await publish()
    await redis.xgroup('CREATE', stream, 'group', '0')
    await redis.xreadgroup('GROUP', 'group', 'dead', 'COUNT', 3, 'STREAMS', stream, '>')
    await redis.xtrim(stream, 'MAXLEN', 1)
    const { bodies, facts } = consume('b', ack, { concurrency })
    await eventually(bodies).toEqual(['5'])
    await eventually(() => facts.filter(({ fact }) => fact === 'lost')).toMatchObject([{ count: 3 }])
    await eventually(() => topic.stats('group')).toMatchObject({ pendingCount: 0 })
  })

  test('what is young is kept, and without a group nothing is dropped', async () => {
    const { publish, consume, user, keys } = setUp(servers)
    await publish()
    await publish()
    const janitor = createJanitor(user, { keys, retainMs: 0 })
    expect((await janitor.tidy()).droppedCount).toBe(0)
    const { seen, stop } = consume('a', ack)
    await eventually(() => seen.length).toBe(2)
    await stop()
    expect((await createJanitor(user, { keys, retainMs: 60_000 }).tidy()).droppedCount).toBe(0)
    expect((await janitor.tidy()).droppedCount).toBe(1)
  })

  test('a hundred rolling restarts leave no more consumers than there are', { timeout: 60_000 }, async () => {
    const { publish, consume, redis, user, keys } = setUp(servers, { partitions: 1 })
    const janitor = createJanitor(user, { keys, consumerIdleMs: 500 })
    const namesOf = async () =>
      ((await redis.xinfo('CONSUMERS', keys.stream.key(0), 'group')) as string[][]).map((consumer) => consumer[1])
    const seen = new Set<string>()
    const start = (number: number) =>
      consume(`instance-${number}`, (message) => message.ack().then(() => seen.add(message.body)), { concurrency: 2 })
    const live = [start(0), start(1)]
    for (let restart = 2; restart <= 101; restart++) {
      live.push(start(restart))
      await live.shift()?.stop()
      await publish()
      await eventually(() => seen.size).toBe(restart - 1)
      if (restart % 10 === 0) await janitor.tidy()
    }
    const namesBefore = await namesOf()
    await eventually(async () => {
      await janitor.tidy()
      return (await namesOf()).length
    }).toBeLessThanOrEqual(live.length)
    // Negative control: nobody else forgets them.
    expect(namesBefore.length).toBeGreaterThan(live.length)
    await publish()
    await eventually(() => seen.size).toBe(101)
  })

  test('consumers that left are forgotten, but never one that holds a message', async () => {
    const { publish, consume, redis, user, keys, partition } = setUp(servers)
    const stream = keys.stream.key(partition)
    const janitor = createJanitor(user, { keys, consumerIdleMs: 0 })
    for (let deployment = 0; deployment < 5; deployment++) {
      const { seen, stop } = consume(`instance-${deployment}`, ack)
      await publish()
      await eventually(() => seen.length).toBe(1)
      await stop()
    }
    await publish()
    await redis.xreadgroup('GROUP', 'group', 'holder', 'STREAMS', stream, '>')
    await eventually(async () => {
      await janitor.tidy()
      return ((await redis.xinfo('CONSUMERS', stream, 'group')) as string[][]).map((consumer) => consumer[1])
    }).toEqual(['holder'])

    // Negative control: the bare command drops what the consumer holds.
    expect(await redis.xgroup('DELCONSUMER', stream, 'group', 'holder')).toBe(1)
  })
})
