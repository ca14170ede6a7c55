/** When a row counts as published. What only newer servers can do (WAITAOF: Redis 7.2, Valkey 8) is checked where there is one. */
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { expect, onTestFinished, test } from 'vitest'
import { eventually, setUpWithRedis, sorted, upTo } from './redis-and-relay.fixture.ts'

type SetUp = Awaited<ReturnType<typeof setUpWithRedis>>

function countsOf({ pool }: SetUp) {
  const count = async (condition: string) => (await pool.query(`SELECT 1 FROM outbox WHERE ${condition}`)).rowCount
  return async () => ({
    sent: await count('stream_ms IS NOT NULL'),
    published: await count('published_at IS NOT NULL'),
  })
}

async function canWait({ server }: SetUp): Promise<boolean> {
  const redis = connectRedis(server.url, { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  return ((await redis.command('INFO', 'waitaof')) as unknown[])[0] !== null
}

test('consumers get events before they are on the disk, and rows are published after', async (context) => {
  const setUp = await setUpWithRedis({ appendfsync: 'no' })
  if (!(await canWait(setUp))) return context.skip('this server cannot say what is on its disk')
  const counts = countsOf(setUp)
  setUp.startRelay()
  setUp.startConsumer()
  await setUp.tellMore(30)
  await eventually(async () => sorted(await setUp.effectNumbers())).toEqual(upTo(30))
  await eventually(counts).toEqual({ sent: 30, published: 0 })
  // Batches do not wait for each other's disk.
  await setUp.tellMore(30)
  await eventually(async () => sorted(await setUp.effectNumbers())).toEqual(upTo(60))
  expect(await counts()).toMatchObject({ published: 0 })

  await setUp.redis.config('SET', 'appendfsync', 'everysec')
  await eventually(counts).toEqual({ sent: 60, published: 60 })
})

test('where acknowledged is enough, nothing waits for the disk', async () => {
  const setUp = await setUpWithRedis({ appendfsync: 'no' })
  setUp.startRelay({ durability: 'acknowledged' })
  await setUp.tellMore(3)
  await eventually(countsOf(setUp)).toEqual({ sent: 3, published: 3 })
})

test.each<{ server: string; config: Record<string, string> }>([
  { server: 'has no append-only file', config: { appendonly: 'no' } },
  { server: 'is as it is', config: {} },
])('a server that $server publishes, whether it can say what is on its disk or not', async ({ config }) => {
  const setUp = await setUpWithRedis(config)
  const warned: string[] = []
  setUp.startRelay({ log: { warn: (_, text) => void warned.push(text) } })
  await setUp.tellMore(6)
  await eventually(countsOf(setUp)).toEqual({ sent: 6, published: 6 })
  await setUp.tellMore(6)
  await eventually(countsOf(setUp)).toEqual({ sent: 12, published: 12 })
  const canSay = (await canWait(setUp)) && Object.keys(config).length === 0
  expect(warned.filter((text) => text.includes('WAITAOF')).length).toBe(canSay ? 0 : 1)
})

test('a relay that is stopped has marked what is on the disk', async () => {
  const setUp = await setUpWithRedis({ appendfsync: 'everysec' })
  const { stop } = setUp.startRelay()
  await setUp.tellMore(6)
  await eventually(async () => (await countsOf(setUp)()).sent).toBe(6)
  await stop()
  expect(await countsOf(setUp)()).toEqual({ sent: 6, published: 6 })
})
