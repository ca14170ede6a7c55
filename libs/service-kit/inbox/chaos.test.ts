/**
 * Everything dies at once: relays and consumers by SIGKILL, consumers frozen and woken, Redis killed and started again. Every event has its
 * effect once, in order, and nothing is left over.
 *
 *     SHOP_CHAOS_EVENTS=20000 SHOP_CHAOS_SEED=7 npx vitest run --project service-kit inbox/chaos
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as elapse } from 'node:timers/promises'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'
import { createDeadLetters } from '@shop/redis-kit/stream/dead-letters'
import { createJanitor } from '@shop/redis-kit/stream/janitor'
import { createRandom } from '@shop/test-kit/random'
import { startRedis } from '@shop/test-kit/redis-server'
import { expect, onTestFinished, test } from 'vitest'
import { setUpTables } from '../outbox/tables.fixture.ts'
import { startCrowd } from './crowd.fixture.ts'

const eventCount = Number(process.env.SHOP_CHAOS_EVENTS ?? 1500)
const seed = Number(process.env.SHOP_CHAOS_SEED ?? Math.floor(Math.random() * 1_000_000))
const keyCount = 50
const service = 'shop'
const keys = topicKeys(service, 'events', { partitions: 4 })

async function setUp() {
  const dir = mkdtempSync(join(tmpdir(), 'shop-chaos-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const server = await startRedis({ dir, config: { appendonly: 'yes', appendfsync: 'always' }, startTimeoutMs: 30_000 })
  onTestFinished(() => server.stop())
  const { pool, url } = await setUpTables()
  const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 3000 })
  onTestFinished(() => closeRedis(redis))
  const countOf = async (table: string) => Number((await pool.query(`SELECT count(*) FROM ${table}`)).rows[0].count)
  const startRelays = (count: number) =>
    startCrowd(count, './chaos-relay.fixture.ts', (name) => [url, server.url, service, name])
  const startConsumers = (count: number, minIdleMs: number) =>
    startCrowd(count, './chaos-consumer.fixture.ts', (name) => [url, server.url, service, name, String(minIdleMs)])
  return { server, pool, redis, topic: createTopic(redis, { keys }), countOf, startRelays, startConsumers }
}

test(`${eventCount} events survive whatever is killed, seed ${seed}`, { timeout: 600_000 }, async () => {
  const { server, pool, redis, topic, countOf, startRelays, startConsumers } = await setUp()
  const random = createRandom(seed)
  const relays = startRelays(2)
  const consumers = startConsumers(4, 2000)
  const done = { killed: 0, frozen: 0, relayKilled: 0, restarted: 0 }

  /** In the order of their numbers, so that each key has an order. */
  async function tellAll() {
    for (let from = 0; from < eventCount; from += 50) {
      await pool.query(
        `INSERT INTO outbox (event_id, topic, key, type, body)
         SELECT uuidv7(), $1, 'key-' || number % ${keyCount}, 'counted', number::text FROM generate_series($2::int, $3::int) AS number`,
        [keys.name, from, Math.min(from + 50, eventCount) - 1],
      )
      await pool.query('NOTIFY outbox')
      await elapse(random() * 30)
    }
  }

  async function wreak(isOver: () => Promise<boolean>) {
    const janitor = createJanitor(redis, { keys, retainMs: 0, consumerIdleMs: 5000 })
    while (!(await isOver())) {
      await elapse(300 + random() * 1200)
      const [dice, victim] = [random(), Math.floor(random() * 4)]
      if (dice < 0.35) consumers.kill(victim)
      else if (dice < 0.7) void freezeFor(victim, 100 + random() * 4000)
      else if (dice < 0.8) relays.kill(victim % 2)
      else if (dice < 0.9) await restart()
      else await janitor.tidy().catch(() => undefined)
      done.killed += Number(dice < 0.35)
      done.relayKilled += Number(dice >= 0.7 && dice < 0.8)
    }
  }

  /** Leaves nothing to luck: somebody dies between a delivery and its effect, which a lock holds up. */
  async function killInTheMiddle() {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await client.query('LOCK TABLE effects IN EXCLUSIVE MODE')
      const before = await countOf('deliveries')
      await expect.poll(() => countOf('deliveries'), { timeout: 60_000 }).toBeGreaterThan(before)
      for (const index of consumers.members.keys()) consumers.kill(index)
      done.killed += consumers.members.length
    } finally {
      client.release(true) // and with it the lock
    }
  }

  async function freezeFor(victim: number, ms: number) {
    done.frozen += 1
    consumers.freeze(victim)
    await elapse(ms)
    consumers.thaw()
  }

  async function restart() {
    done.restarted += 1
    await server.kill('SIGKILL')
    await elapse(random() * 1000)
    await server.restart()
  }

  await restart() // at least this
  const telling = tellAll()
  await killInTheMiddle()
  const chaosEndsAt = eventCount * 0.9
  await wreak(async () => (await countOf('effects')) >= chaosEndsAt && done.killed > 0 && done.frozen > 0)
  await telling
  consumers.thaw()

  await expect.poll(() => countOf('effects'), { timeout: 120_000, interval: 200 }).toBe(eventCount)
  await expect.poll(() => countOf('outbox WHERE published_at IS NULL'), { timeout: 30_000 }).toBe(0)
  await expect
    .poll(() => topic.stats('group').catch(() => undefined), { timeout: 30_000 })
    .toMatchObject({ lagCount: 0, pendingCount: 0, retryCount: 0, deadLetterCount: 0 })
  const deliveryCount = await countOf('deliveries')
  process.stdout.write(`chaos, seed ${seed}: ${JSON.stringify({ eventCount, deliveryCount, ...done })}\n`)
  // Negative control: without the inbox the deliveries would have been effects.
  expect(deliveryCount).toBeGreaterThan(eventCount)
  const { rows } = await pool.query<{ key: string; number: number }>('SELECT key, number FROM effects ORDER BY id')
  expect(new Set(rows.map(({ number }) => number)).size).toBe(eventCount)
  for (const [key, ofKey] of Map.groupBy(rows, (row) => row.key)) {
    const numbers = ofKey.map(({ number }) => number)
    expect({ key, numbers }).toEqual({ key, numbers: numbers.toSorted((a, b) => a - b) })
  }
})

test('an event that kills its consumer, one that fails and one that is no event are given up after exactly five deliveries', {
  timeout: 120_000,
}, async () => {
  const { pool, redis, topic, startConsumers } = await setUp()
  const letters = createDeadLetters(redis, { keys })
  const bodies = ['0', 'killer', '1', 'poison', '2']
  for (const body of bodies) await topic.publish({ id: crypto.randomUUID(), key: 'one', type: 'counted', body })
  await Promise.all(
    [0, 1, 2, 3].map((partition) => redis.xadd(keys.stream.key(partition), '*', 'surprise', String(partition))),
  )
  await topic.publish({ id: crypto.randomUUID(), key: 'one', type: 'counted', body: '3' })
  const consumers = startConsumers(2, 600)

  const effects = async () =>
    (await pool.query('SELECT number FROM effects ORDER BY id')).rows.map(({ number }) => number)
  await expect.poll(effects, { timeout: 60_000 }).toEqual([0, 1, 2, 3])
  await expect.poll(async () => (await letters.list()).letters.length, { timeout: 30_000 }).toBe(6)
  const found = (await letters.list()).letters.map(({ body = 'no event', attemptCount }) => [body, attemptCount])
  expect(found.toSorted()).toEqual([['killer', 5], ...Array(4).fill(['no event', 1]), ['poison', 5]])
  const { rows } = await pool.query(
    `SELECT body, array_agg(delivery_count ORDER BY id) AS counts FROM deliveries WHERE body IN ('killer', 'poison') GROUP BY body ORDER BY body`,
  )
  expect(rows).toEqual(['killer', 'poison'].map((body) => ({ body, counts: [1, 2, 3, 4, 5] })))
  expect(consumers.deathCount()).toBe(5)
  await expect.poll(() => topic.stats('group')).toMatchObject({ lagCount: 0, pendingCount: 0, retryCount: 0 })
})
