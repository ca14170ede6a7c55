import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeRedis, connectRedis } from '@shop/redis-kit/client'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { createRelay } from './outbox.ts'
import { setUpTables, tell } from './tables.fixture.ts'

const servers = await testRedis()

test('relays that are killed between publishing and marking repeat events, and the stream has each of them once', {
  timeout: 60_000,
}, async () => {
  const { pool, url } = await setUpTables()
  const service = servers.namespace({ allowImmortal: (key) => key.endsWith(':stream') })
  const redis = connectRedis(servers.url, { name: service, commandTimeoutMs: 5000 })
  onTestFinished(() => closeRedis(redis))
  const keys = topicKeys(service, 'events', { partitions: 2 })
  const topic = createTopic(redis, { keys })
  const told: string[] = []
  for (let i = 0; i < 30; i++) told.push((await tell(pool, { key: `order-${i % 3}`, body: String(i) })).eventId)

  for (const killAfter of ['1', '12', '30']) {
    const fixture = new URL('./killed-relay.fixture.ts', import.meta.url).pathname
    const child = spawn(process.execPath, [fixture, url, servers.url, service, killAfter], { stdio: 'inherit' })
    onTestFinished(() => void child.kill('SIGKILL'))
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
  }
  // None of them has marked anything: all will be published again.
  const { rows } = await pool.query('SELECT count(*)::int FROM outbox WHERE published_at IS NULL')
  expect(rows).toEqual([{ count: 30 }])

  const stopping = new AbortController()
  let publishedCount = 0
  const relay = createRelay({
    pool,
    publish: async (row) => {
      publishedCount += 1
      await topic.publish({ ...row, id: row.eventId })
    },
  })
  const running = relay.run(stopping.signal)
  onTestFinished(() => stopping.abort())
  await expect.poll(async () => (await relay.backlog()).count, { timeout: 10_000 }).toBe(0)
  stopping.abort()
  await running
  expect(publishedCount).toBe(30)

  const streams = await Promise.all([0, 1].map((partition) => redis.xrange(keys.stream.key(partition), '-', '+')))
  const entries = streams.flat().map(([, [, id, , key, , , , body]]) => ({ id, key, number: Number(body) }))
  expect(entries.map(({ id }) => id).toSorted()).toEqual(told.toSorted())
  for (let key = 0; key < 3; key++) {
    const numbers = entries.filter((entry) => entry.key === `order-${key}`).map(({ number }) => number)
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
  }
})
