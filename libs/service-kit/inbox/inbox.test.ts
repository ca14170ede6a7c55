import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { setUpTables } from '../outbox/tables.fixture.ts'
import { transact } from '../outbox/transaction.fixture.ts'
import { forgetSeen, once } from './inbox.ts'

const servers = await testRedis()

test('an event is new once per group', async () => {
  const { pool } = await setUpTables()
  const eventId = randomUUID()
  const see = (group: string) => transact(pool, (tx) => once(tx, { group, eventId }))
  expect(await see('catalog')).toBe(true)
  expect(await see('catalog')).toBe(false)
  expect(await see('analytics')).toBe(true)
})

test('of many transactions at the same time one has the effect', async () => {
  const { pool } = await setUpTables()
  const eventId = randomUUID()
  const see = () => transact(pool, (tx) => once(tx, { group: 'catalog', eventId }))
  const results = await Promise.all(Array.from({ length: 20 }, see))
  expect(results.filter((isNew) => isNew).length).toBe(1)
})

test('an event whose transaction rolled back is still new', async () => {
  const { pool } = await setUpTables()
  const seen = { group: 'catalog', eventId: randomUUID() }
  const failing = transact(pool, async (tx) => {
    expect(await once(tx, seen)).toBe(true)
    throw new Error('out of stock')
  })
  await expect(failing).rejects.toThrow('out of stock')
  expect(await transact(pool, (tx) => once(tx, seen))).toBe(true)
})

test('what was seen long ago is forgotten', async () => {
  const { pool } = await setUpTables()
  const seen = { group: 'catalog', eventId: randomUUID() }
  await transact(pool, (tx) => once(tx, seen))
  expect(await forgetSeen(pool, { retainMs: 60_000 })).toBe(0)
  await pool.query(`UPDATE inbox SET processed_at = now() - interval '2 minutes'`)
  expect(await forgetSeen(pool, { retainMs: 60_000 })).toBe(1)
})

test.each([1, 5])(
  'consumers are killed at any point of their work: every effect happens once, concurrency %d',
  { timeout: 60_000 },
  async (concurrency) => {
    const { pool, url } = await setUpTables()
    const service = servers.namespace({ allowImmortal: (key) => key.endsWith(':stream') })
    const redis = connectRedis(servers.url, { name: service, commandTimeoutMs: 5000 })
    onTestFinished(() => closeRedis(redis))
    const topic = createTopic(redis, { keys: topicKeys(service, 'events', { partitions: 2 }) })
    const eventCount = 120
    for (let i = 0; i < eventCount; i++) {
      await topic.publish({ id: randomUUID(), key: `key-${i % 6}`, type: 'counted', body: String(i) })
    }

    const crowd = keepAlive(2, [url, servers.url, service], concurrency)
    const handledCount = async () => (await pool.query('SELECT count(*)::int FROM effects')).rows[0].count
    await expect.poll(handledCount, { timeout: 50_000 }).toBe(eventCount)
    await expect.poll(() => topic.stats('group'), { timeout: 10_000 }).toMatchObject({ pendingCount: 0, lagCount: 0 })
    await crowd.stop()

    expect(crowd.killedCount()).toBeGreaterThan(2)
    const { rows: effects } = await pool.query('SELECT key, number FROM effects ORDER BY id')
    expect(new Set(effects.map(({ number }) => number)).size).toBe(eventCount)
    // Negative control: without the inbox, these would have been effects.
    const { rows } = await pool.query('SELECT count(*)::int FROM deliveries')
    expect(rows[0].count).toBeGreaterThan(eventCount)
    if (concurrency > 1) return
    for (let key = 0; key < 6; key++) {
      const numbers = effects.filter((effect) => effect.key === `key-${key}`).map(({ number }) => number)
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    }
  },
)

/** So many consumers at a time; whoever is killed is replaced, the last ones live on. */
function keepAlive(count: number, args: string[], concurrency: number) {
  const fixture = new URL('./killed-consumer.fixture.ts', import.meta.url).pathname
  const children = new Set<ChildProcess>()
  const lives = [20, 31, 43, 55]
  let [startedCount, killedCount, isStopping] = [0, 0, false]
  for (let i = 0; i < count; i++) start()
  onTestFinished(stop)
  return { stop, killedCount: () => killedCount }

  function start(): void {
    const life = lives[startedCount++] ?? 0
    const names = [`consumer-${startedCount}`, String(life), String(concurrency)]
    const child = spawn(process.execPath, [fixture, ...args, ...names], { stdio: 'inherit' })
    children.add(child)
    child.once('exit', () => {
      children.delete(child)
      if (isStopping) return
      killedCount += 1
      start()
    })
  }

  async function stop(): Promise<void> {
    isStopping = true
    const exits = Array.from(children, (child) => new Promise((resolve) => child.once('exit', resolve)))
    for (const child of children) child.kill('SIGKILL')
    await Promise.all(exits)
  }
}
