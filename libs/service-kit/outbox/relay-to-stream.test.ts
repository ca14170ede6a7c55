import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { topicKeys } from '@shop/redis-kit/stream'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { setUpTables, tell } from './tables.fixture.ts'
import { createTopicRelay } from './topic-relay.ts'

const servers = await testRedis()
const fixture = new URL('./killed-relay.fixture.ts', import.meta.url).pathname

/** Where it is killed, and what the outbox says afterwards. */
const steps = [
  { step: 'selected', sentCount: 0 },
  { step: 'published 1', sentCount: 0 },
  { step: 'published 6', sentCount: 0 },
  { step: 'marked', sentCount: 0 },
  { step: 'committed', sentCount: 30 },
]

test.each(steps)(
  'a relay that is killed when a batch is $step loses nothing, and the stream has each event once, in order',
  { timeout: 60_000 },
  async ({ step, sentCount }) => {
    const { pool, url } = await setUpTables()
    const service = servers.namespace({ allowImmortal: (key) => key.endsWith(':stream') })
    const redis = connectRedis(servers.url, { name: service, commandTimeoutMs: 5000 })
    onTestFinished(() => closeRedis(redis))
    const keys = topicKeys(service, 'events', { partitions: 2 })
    const told: string[] = []
    for (let i = 0; i < 30; i++) {
      told.push((await tell(pool, { topic: keys.name, key: `order-${i % 3}`, body: String(i) })).eventId)
    }
    const readAll = async () =>
      (await Promise.all([0, 1].map((partition) => redis.xrange(keys.stream.key(partition), '-', '+')))).flat()

    // Twice: the second one starts from what the first has left.
    for (const _ of sentCount === 0 ? [1, 2] : [1]) {
      const child = spawn(process.execPath, [fixture, url, servers.url, service, step], { stdio: 'inherit' })
      onTestFinished(() => void child.kill('SIGKILL'))
      expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
    }
    const { rows } = await pool.query('SELECT 1 FROM outbox WHERE stream_ms IS NOT NULL')
    expect(rows.length).toBe(sentCount)
    const publishedCount = (await readAll()).length
    if (step === 'selected') expect(publishedCount).toBe(0)
    if (step.startsWith('published')) expect(publishedCount).toBeLessThan(30) // in the middle of the batch
    if (step === 'marked' || step === 'committed') expect(publishedCount).toBe(30)

    const stopping = new AbortController()
    const relay = createTopicRelay(redis, { pool, keys, auditEveryMs: 100, resendAfterMs: 500 })
    const running = relay.run(stopping.signal)
    onTestFinished(() => stopping.abort())
    await expect
      .poll(async () => (await pool.query('SELECT 1 FROM outbox WHERE published_at IS NULL')).rowCount, {
        timeout: 20_000,
      })
      .toBe(0)
    stopping.abort()
    await running

    const entries = (await readAll()).map(([, [, id, , key, , , , body]]) => ({ id, key, number: Number(body) }))
    expect(entries.map(({ id }) => id).toSorted()).toEqual(told.toSorted())
    for (let key = 0; key < 3; key++) {
      const numbers = entries.filter((entry) => entry.key === `order-${key}`).map(({ number }) => number)
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    }
  },
)
