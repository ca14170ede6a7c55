import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis } from '../connection/connection.ts'
import { createTopic, topicKeys } from './stream.ts'
import { ack, eventually, setUp } from './topic.fixture.ts'

const servers = await testRedis()

/** A server of its own that may be harmed, reached through a proxy that may break. Appends are kept as in production, only at once. */
async function harmableTopic() {
  const server = await startRedis({ config: { appendonly: 'yes', appendfsync: 'always' } })
  onTestFinished(() => server.stop())
  const proxy = await startFaultProxy({ port: server.port })
  onTestFinished(() => proxy.stop())
  const admin = new Redis(server.url)
  admin.on('error', () => undefined)
  onTestFinished(() => admin.disconnect())
  const redis = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 1000 })
  onTestFinished(() => closeRedis(redis))
  const topic = createTopic(redis, { keys: topicKeys('test', 'events', { partitions: 2 }) })
  const stopping = new AbortController()
  const bodies = new Set<string>()
  const facts: string[] = []
  const loop = async () => {
    for await (const message of topic.read({
      group: 'group',
      consumer: 'a',
      connect: () => connectRedis(proxy.url, { name: 'blocking', role: 'blocking' }),
      signal: stopping.signal,
      minIdleMs: 3000, // longer than the longest outage here: an ack insists for so long
      observe: ({ fact }) => facts.push(fact),
    })) {
      bodies.add(message.body)
      await message.ack()
    }
  }
  const running = loop()
  running.catch(() => undefined)
  onTestFinished(async () => {
    stopping.abort()
    await running
  })
  let [count, refusedCount] = [0, 0]
  /** As a relay does: again and again, with the same id, until it is certain. */
  async function publish() {
    const id = String(++count)
    while (true) {
      try {
        return await topic.publish({ id, key: `key-${count % 7}`, type: 'counted', body: id })
      } catch {
        refusedCount += 1
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }
  const isDrained = async () => (await topic.stats('group').catch(() => undefined))?.pendingCount === 0
  return { server, proxy, admin, topic, publish, refusedCount: () => refusedCount, isDrained, bodies, facts, running }
}

describe('a reader survives', () => {
  test('a server that answers and refuses writes, and asks it less and less often', async () => {
    const { admin, publish, bodies, facts, isDrained } = await harmableTopic()
    await publish()
    await eventually(() => [...bodies]).toEqual(['1'])
    await eventually(isDrained).toBe(true) // or its ack is refused for longer than it insists
    await admin.config('SET', 'min-replicas-to-write', '1')
    await eventually(() => facts.includes('interrupted')).toBe(true)
    const interruptionCount = () => facts.filter((fact) => fact === 'interrupted').length
    // Two partitions. Each waits up to 50 ms, 100 ms, 200 ms … so a busy machine makes it fewer.
    await sleep(3_000)
    expect(interruptionCount()).toBeLessThan(40)
    await admin.config('SET', 'min-replicas-to-write', '0')
    await publish()
    await eventually(() => [...bodies]).toEqual(['1', '2'])
  })

  test.each([1, 4])('a stream that was deleted under it, concurrency %d', async (concurrency) => {
    const { publish, consume, redis, keys, partition } = setUp(servers)
    const { bodies, facts } = consume('a', ack, { concurrency })
    await publish()
    await eventually(bodies).toEqual(['1'])
    await redis.del(keys.stream.key(partition))
    await publish()
    await eventually(bodies).toEqual(['1', '2'])
    expect(facts.map(({ fact }) => fact)).toContain('group-lost')
  })

  test.each([1, 4])('a group that was destroyed under it, concurrency %d', async (concurrency) => {
    const { publish, consume, redis, keys, partition, topic } = setUp(servers)
    const { bodies, facts } = consume('a', ack, { concurrency })
    await publish()
    await eventually(() => topic.stats('group')).toMatchObject({ lagCount: 0, pendingCount: 0 })
    await redis.xgroup('DESTROY', keys.stream.key(partition), 'group')
    await publish()
    await eventually(bodies).toEqual(['1', '1', '2']) // from the beginning, as any new group
    expect(facts.map(({ fact }) => fact)).toContain('group-lost')
  })

  test.each(['FLUSHALL', 'SCRIPT FLUSH'])('%s, again and again', async (command) => {
    const { admin, publish, bodies, isDrained } = await harmableTopic()
    for (let round = 1; round <= 10; round++) {
      await publish()
      await eventually(() => bodies.size).toBe(round)
      await eventually(isDrained).toBe(true)
      await admin.call(...(command.split(' ') as [string]))
    }
  })

  test('a read that is interrupted by CLIENT UNBLOCK', async () => {
    const { publish, consume, raw, service } = setUp(servers)
    const { bodies } = consume('a', ack)
    const blocked = async () =>
      String(await raw.call('CLIENT', 'LIST'))
        .split('\n')
        .filter((line) => line.includes(`name=${service}-blocking`) && line.includes('cmd=xread'))
    await eventually(async () => (await blocked()).length).toBe(2)
    for (const line of await blocked()) await raw.call('CLIENT', 'UNBLOCK', /id=(\d+)/.exec(line)?.[1] ?? '', 'ERROR')
    await publish()
    await eventually(bodies).toEqual(['1'])
  })

  test('connections that are cut again and again, and no event is lost', async () => {
    const { proxy, publish, bodies } = await harmableTopic()
    for (let i = 0; i < 100; i++) {
      if (i % 20 === 10) proxy.cut()
      await publish()
    }
    await eventually(() => bodies.size).toBe(100)
  })

  test('replies that are lost after the server has executed', async () => {
    const { proxy, publish, topic, bodies } = await harmableTopic()
    for (let i = 0; i < 10; i++) {
      await publish()
      await eventually(() => bodies.size).toBe(i + 1)
      void proxy.cutAfterNextRequest(/evalsha/i)
    }
    await eventually(() => topic.stats('group').catch(() => undefined)).toMatchObject({
      lengthCount: 10,
      pendingCount: 0,
    })
  })

  test.each([
    ['has too few replicas', 'min-replicas-to-write', '1', '0'],
    ['is full', 'maxmemory', '1', '0'],
  ])('a server that %s for a while', async (_, setting, harm, heal) => {
    const { admin, publish, refusedCount, bodies, running } = await harmableTopic()
    await publish()
    await eventually(() => bodies.size).toBe(1)
    await admin.config('SET', setting, harm)
    const publishing = publish()
    await eventually(refusedCount).toBeGreaterThan(3)
    expect(await Promise.race([running.then(() => 'ended'), 'running'])).toBe('running')
    await admin.config('SET', setting, heal)
    await publishing
    await eventually(() => bodies.size).toBe(2)
  })

  test('a server that becomes a replica for a while', async () => {
    const { admin, publish, refusedCount, isDrained, bodies } = await harmableTopic()
    await publish()
    await eventually(() => bodies.size).toBe(1)
    await eventually(isDrained).toBe(true) // it insists on an ack, but not for ever
    await admin.call('REPLICAOF', '127.0.0.1', '1')
    const publishing = publish()
    await eventually(refusedCount).toBeGreaterThan(0)
    await admin.call('REPLICAOF', 'NO', 'ONE')
    await publishing
    await eventually(() => bodies.size).toBe(2)
  })

  test('a server that is killed and comes back with what it had', async () => {
    const { server, publish, bodies } = await harmableTopic()
    for (let i = 0; i < 20; i++) await publish()
    await server.kill('SIGKILL')
    const publishing = publish()
    await server.restart()
    await publishing
    await eventually(() => bodies.size).toBe(21)
  })

  test('a frozen server', async () => {
    const { server, publish, bodies } = await harmableTopic()
    await publish()
    await eventually(() => bodies.size).toBe(1)
    await server.kill('SIGSTOP')
    const publishing = publish()
    await new Promise((resolve) => setTimeout(resolve, 1500)) // longer than any deadline of the command connection
    await server.kill('SIGCONT')
    await publishing
    await eventually(() => bodies.size).toBe(2)
  })
})
