/** The figures of a console, against a model that was kept beside: also after deletions and trims, where Redis' own are wrong. */
import { type TestRedis, type Topology, testRedis } from '@shop/test-kit/redis'
import { describe, expect, test } from 'vitest'
import { topicOverview } from './overview.ts'
import { ack, eventually, gate, setUp } from './topic.fixture.ts'

describe.each<Topology>(['standalone', 'cluster'])('a topic at a glance, %s', async (topology) => {
  const servers: TestRedis<Topology> = await testRedis({ topology })

  test('of which nobody has heard yet is empty', async () => {
    const { redis, keys } = setUp(servers)
    expect(await topicOverview(redis, keys)).toEqual({
      topic: keys.name,
      partitionCount: 2,
      lengthCount: 0,
      deadLetterCount: 0,
      groups: [],
    })
  })

  test('shows what each group has still to do, and who does it', async () => {
    const { redis, keys, publish, consume } = setUp(servers)
    consume('a', ack, { group: 'done' })
    const held = gate()
    const hold = consume('b', () => held.passed, { group: 'stuck', concurrency: 3 })
    consume('c', (message) => message.reject('no'), { group: 'picky' })
    for (let i = 0; i < 8; i++) await publish({ key: `key-${i}` })
    await eventually(() => hold.seen.length).toBe(3)
    await eventually(() => topicOverview(redis, keys)).toMatchObject({
      lengthCount: 8,
      deadLetterCount: 8,
      groups: [
        { group: 'done', lagCount: 0, pendingCount: 0, oldestAgeMs: 0 },
        { group: 'picky', lagCount: 0, pendingCount: 0, oldestAgeMs: 0 },
        {
          group: 'stuck',
          lagCount: 5,
          isLagExact: true,
          pendingCount: 3,
          consumers: [{ consumer: 'b', pendingCount: 3 }],
        },
      ],
    })
    const { groups } = await topicOverview(redis, keys)
    expect(groups[2]?.oldestAgeMs).toBeGreaterThan(0)
    held.open()
  })

  test('counts what waits for a retry as pending too', async () => {
    const { redis, keys, publish, consume } = setUp(servers)
    consume('a', (message) => message.fail('later'), { concurrency: 2, retryBaseMs: 60_000, retryCapMs: 60_000 })
    await publish()
    await eventually(() => topicOverview(redis, keys)).toMatchObject({
      groups: [{ group: 'group', lagCount: 0, pendingCount: 1, retryCount: 1 }],
    })
  })

  test('is right after any deletions and trims, where the lag of XINFO is not', async () => {
    let misled = 0
    for (let seed = 1; seed <= 12; seed++) {
      const { redis, keys } = setUp(servers, { partitions: 1 })
      const truth = await history(redis, keys.stream.key(0), seed)
      const { groups, lengthCount } = await topicOverview(redis, keys)
      expect({ seed, lengthCount, groups }).toMatchObject({
        seed,
        lengthCount: truth.entries.length,
        groups: [...truth.groups].map(([group, { unread, pending }]) => ({
          group,
          lagCount: unread.length,
          isLagExact: true,
          pendingCount: pending.length,
        })),
      })
      const own = (await redis.xinfo('GROUPS', keys.stream.key(0))) as unknown[][]
      misled += own.filter((group, i) => group[group.indexOf('lag') + 1] !== groups[i]?.lagCount).length
    }
    expect(misled).toBeGreaterThan(0)
  })

  test('says so when it has not counted to the end', async () => {
    const { redis, keys, partition } = setUp(servers)
    const stream = keys.stream.key(partition)
    const pipeline = redis.pipeline()
    pipeline.xgroup('CREATE', stream, 'slow', '0', 'MKSTREAM')
    for (let i = 0; i < 1_500; i++) pipeline.xadd(stream, '*', 'n', i)
    await pipeline.exec()
    expect((await topicOverview(redis, keys)).groups[0]).toMatchObject({ lagCount: 1_500, isLagExact: false })
  })
})

interface Truth {
  entries: string[]
  groups: Map<string, { unread: string[]; pending: string[] }>
}

/** A few hundred steps of publishers, two groups, and somebody who deletes and trims by hand; and what is left in truth. */
async function history(redis: ReturnType<typeof setUp>['redis'], stream: string, seed: number): Promise<Truth> {
  const random = randomOf(seed)
  const truth: Truth = { entries: [], groups: new Map() }
  for (const group of ['first', 'second']) {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
    truth.groups.set(group, { unread: [], pending: [] })
  }
  const gone = (ids: readonly string[]) => {
    truth.entries = truth.entries.filter((id) => !ids.includes(id))
    for (const state of truth.groups.values()) state.unread = state.unread.filter((id) => !ids.includes(id))
  }
  for (let step = 0; step < 200; step++) {
    const group = random() < 0.5 ? 'first' : 'second'
    const state = truth.groups.get(group) as { unread: string[]; pending: string[] }
    const dice = random()
    if (dice < 0.45) {
      const id = (await redis.xadd(stream, '*', 'n', step)) as string
      truth.entries.push(id)
      for (const { unread } of truth.groups.values()) unread.push(id)
    } else if (dice < 0.65) {
      await redis.xreadgroup('GROUP', group, 'someone', 'COUNT', 3, 'STREAMS', stream, '>')
      state.pending.push(...state.unread.splice(0, 3))
    } else if (dice < 0.85) {
      const [id] = state.pending.splice(Math.floor(random() * state.pending.length), 1)
      if (id) await redis.xack(stream, group, id)
    } else if (dice < 0.97) {
      const id = truth.entries[Math.floor(random() * truth.entries.length)]
      if (id) await redis.xdel(stream, id)
      if (id) gone([id])
    } else {
      const oldest = truth.entries.slice(0, Math.floor(random() * 5))
      await redis.xtrim(stream, 'MAXLEN', truth.entries.length - oldest.length)
      gone(oldest)
    }
  }
  return truth
}

/** The same numbers for the same seed (mulberry32), so that a failure can be looked at again. */
function randomOf(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
