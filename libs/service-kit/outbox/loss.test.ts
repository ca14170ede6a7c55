/** What Redis loses, or somebody deletes, is on the stream again a moment later, and has its effect once. */
import { expect, test, vi } from 'vitest'
import { eventually, inTurns, setUpWithRedis, sorted, upTo } from './redis-and-relay.fixture.ts'

vi.setConfig({ testTimeout: 60_000 })

test.each(['goes on', 'is started anew', 'is one of two'])(
  'Redis is set back to an older file, and the relay %s: what is missing is published before what comes later',
  async (relayThat) => {
    const { startRelay, startConsumer, tellMore, untilPublished, copyFiles, setBack, numbersByKey, ...rest } =
      await setUpWithRedis()
    const { effectNumbers, losses } = rest
    const relay = startRelay()
    if (relayThat === 'is one of two') startRelay()
    const { deliveries } = startConsumer()
    await tellMore(20)
    await untilPublished()
    copyFiles()
    await tellMore(30)
    await untilPublished()
    await eventually(async () => (await effectNumbers()).length).toBe(50)

    if (relayThat === 'is started anew') await relay.stop()
    await setBack()
    await tellMore(10)
    if (relayThat === 'is started anew') startRelay()

    await eventually(numbersByKey).toEqual(inTurns(60))
    await eventually(async () => sorted(await effectNumbers())).toEqual(upTo(60))
    expect(losses.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThanOrEqual(30)
    // Negative control: without the inbox these would have been effects.
    await eventually(() => deliveries.length).toBeGreaterThanOrEqual(90)
  },
)

test('a relay that remembers nothing would go on as if nothing had happened', async () => {
  const { startRelay, tellMore, untilPublished, copyFiles, setBack, numbersByKey, pool } = await setUpWithRedis()
  const relay = startRelay()
  await tellMore(6)
  await untilPublished()
  copyFiles()
  await tellMore(6)
  await untilPublished()
  await relay.stop()
  await pool.query('UPDATE outbox SET partition = NULL, stream_ms = NULL, stream_number = NULL')
  await setBack()
  startRelay()
  await tellMore(6)
  await untilPublished()
  expect((await numbersByKey()).flat().length).toBe(12)
})

test.each([
  { what: 'the stream is trimmed', harm: 'XTRIM' },
  { what: 'an entry is deleted', harm: 'XDEL' },
  { what: 'the stream is deleted', harm: 'DEL' },
  { what: 'everything is flushed', harm: 'FLUSHALL' },
] as const)('$what by hand before a slow group has read it: survived, counted and replayed', async ({ harm }) => {
  const { startRelay, startConsumer, tellMore, untilPublished, effectNumbers, redis, streams, tidy, losses } =
    await setUpWithRedis()
  startRelay()
  for (const stream of streams) await redis.xgroup('CREATE', stream, 'group', '0', 'MKSTREAM')
  await tellMore(30)
  await untilPublished()
  // Some of it is pending with a consumer that is slow, the rest is unread.
  for (const stream of streams) await redis.xreadgroup('GROUP', 'group', 'slow', 'COUNT', 3, 'STREAMS', stream, '>')
  await tidy()
  const ids = await Promise.all(streams.map(async (stream) => (await redis.xrange(stream, '-', '+')).map(([id]) => id)))
  expect(ids.flat().length).toBe(30)

  let missingCount = 30
  if (harm === 'FLUSHALL') await redis.flushall()
  for (const [index, stream] of streams.entries()) {
    if (harm === 'DEL') await redis.del(stream)
    if (harm === 'XTRIM') missingCount -= Math.min(2, ids[index]?.length ?? 0)
    if (harm === 'XTRIM') await redis.xtrim(stream, 'MAXLEN', 2)
    if (harm === 'XDEL' && ids[index]?.[4])
      missingCount = await redis.xdel(stream, ids[index][1] as string, ids[index][4])
  }
  await tidy() // the janitor must not take what others did for its own work
  startConsumer()
  await eventually(async () => sorted(await effectNumbers())).toEqual(upTo(30))
  await eventually(() => losses.reduce((sum, { count }) => sum + count, 0)).toBe(missingCount)
})

test('what the janitor drops is not missed', async () => {
  const { startRelay, startConsumer, tellMore, untilPublished, effectNumbers, topic, tidy, losses } =
    await setUpWithRedis()
  startRelay()
  startConsumer()
  for (let round = 1; round <= 5; round++) {
    await tellMore(12)
    await untilPublished()
    await eventually(async () => (await effectNumbers()).length).toBe(12 * round)
    await eventually(async () => (await topic.stats('group')).pendingCount).toBe(0)
    await tidy()
  }
  const late = startRelay() // one that sees it all for the first time
  await tellMore(1)
  await untilPublished()
  await late.stop()
  expect(losses).toEqual([])
  expect((await topic.stats('group')).lengthCount).toBeLessThan(10)
})

test('an event whose relay died before it was confirmed is sent again, and is on the stream once', async () => {
  const { startRelay, tellMore, untilPublished, pool, numbersByKey, losses } = await setUpWithRedis()
  const relay = startRelay()
  await tellMore(6)
  await untilPublished()
  await relay.stop()
  await pool.query('UPDATE outbox SET published_at = NULL')
  startRelay({ resendAfterMs: 0 })
  await untilPublished()
  expect(await numbersByKey()).toEqual(inTurns(6))
  expect(losses).toEqual([])
})
