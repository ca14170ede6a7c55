/** Runs on every server; what only a newer one can do (Redis 7.2, Valkey 8) is checked there, and that an older one says so here. */
import { startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis } from '../connection/connection.ts'
import { createDisk } from './durability.ts'
import { createTopic, partitionOf, topicKeys } from './stream.ts'

const keys = topicKeys('shop', 'events', { partitions: 4 })
const canWait = await serverCanWait()

async function serverCanWait(): Promise<boolean> {
  const server = await startRedis()
  const redis = new Redis(server.url)
  const known = (await redis.command('INFO', 'waitaof')) as unknown[]
  redis.disconnect()
  await server.stop()
  return known[0] !== null
}

function setUp(url: string, timeoutMs?: number) {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 5000 })
  const blocking = connectRedis(url, { name: 'disk', role: 'blocking' })
  onTestFinished(async () => void (await Promise.all([closeRedis(redis), closeRedis(blocking)])))
  const topic = createTopic(redis, { keys })
  let count = 0
  const publish = async (key: string) => {
    const streamId = await topic.publish({ id: `event-${++count}`, key, type: 'counted', body: '{}' })
    return { keys, partition: partitionOf(key, keys.partitions), streamId }
  }
  return { redis, publish, disk: createDisk(blocking, { timeoutMs }) }
}

async function startAppending(appendfsync: string, config: Record<string, string> = {}) {
  const server = await startRedis({ config: { appendonly: 'yes', appendfsync, ...config } })
  onTestFinished(() => server.stop())
  return server
}

const eventNames = ['a', 'b', 'c', 'd', 'e', 'f']

describe.runIf(canWait)('a server that can say what is on its disk', () => {
  test.each(['always', 'everysec'])('says so for events of all partitions, appendfsync %s', async (appendfsync) => {
    const { publish, disk } = setUp((await startAppending(appendfsync)).url)
    const places = await Promise.all(eventNames.map(publish))
    expect(await disk.flushed(places)).toEqual(places.map(() => 'on-disk'))
  })

  test('says so on a Cluster too', { timeout: 60_000 }, async () => {
    const cluster = await startCluster({ config: { appendonly: 'yes', appendfsync: 'everysec' } })
    onTestFinished(() => cluster.stop())
    const { publish, disk } = setUp(cluster.url)
    const places = await Promise.all(eventNames.map(publish))
    expect(await disk.flushed(places)).toEqual(places.map(() => 'on-disk'))
  })

  test('does not say so before it is', async () => {
    const server = await startAppending('no')
    const { publish, disk } = setUp(server.url, 200)
    const places = [await publish('a')]
    expect(await disk.flushed(places)).toEqual(['late'])
    expect(await disk.flushed(places)).toEqual(['late']) // asked again: it is not forgotten what was to be waited for

    const admin = new Redis(server.url)
    onTestFinished(() => admin.disconnect())
    // Negative control: the bare command answers at once on a connection that has written nothing.
    expect(await admin.call('WAITAOF', 1, 0, 5000)).toEqual([1, 0])
    await admin.config('SET', 'appendfsync', 'always')
    expect(await disk.flushed([await publish('a')])).toEqual(['on-disk'])
  })

  test('cannot without an append-only file', async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const { publish, disk } = setUp(server.url)
    expect(await disk.flushed([await publish('a')])).toEqual(['unsupported'])
  })
})

test('a server without WAITAOF cannot say what is on its disk', async () => {
  const older = canWait ? { 'rename-command': 'WAITAOF ""' } : undefined
  const { publish, disk } = setUp((await startAppending('always', older)).url)
  expect(await disk.flushed([await publish('a'), await publish('b')])).toEqual(['unsupported', 'unsupported'])
})

test('a user without the permission cannot ask', async () => {
  const server = await startAppending('always')
  const admin = new Redis(server.url)
  onTestFinished(() => admin.disconnect())
  await admin.acl('SETUSER', 'shop', 'on', '>secret', '~shop:*', '+@all', '-@blocking')
  const { publish, disk } = setUp(server.url.replace('redis://', 'redis://shop:secret@'))
  expect(await disk.flushed([await publish('a')])).toEqual(['unsupported'])
})

test('an event that is not there is gone, and one that was dropped as finished is not missed', async () => {
  const { publish, redis, disk } = setUp((await startAppending('always')).url)
  const [first, second] = [await publish('a'), await publish('a')]
  await redis.xdel(keys.stream.key(second.partition), second.streamId)
  expect(await disk.flushed([second])).toEqual(['gone'])
  await redis.xdel(keys.stream.key(first.partition), first.streamId)
  await redis.set(keys.oldest.key(first.partition), second.streamId, 'PX', 60_000)
  expect(await disk.flushed([first])).toEqual([canWait ? 'on-disk' : 'unsupported'])
})

test('a server that dies meanwhile has said nothing', async () => {
  const server = await startAppending('always')
  const { publish, disk } = setUp(server.url)
  const place = await publish('a')
  await disk.flushed([place])
  await server.kill('SIGSTOP')
  const asked = disk.flushed([place])
  asked.catch(() => undefined)
  await server.kill('SIGKILL')
  await server.restart()
  await expect(asked).rejects.toThrow()
  expect(await disk.flushed([place])).toEqual([canWait ? 'on-disk' : 'unsupported'])
})
