import { setTimeout as elapse } from 'node:timers/promises'
import type pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { OutboxRow } from './batch.ts'
import { createRelay, enqueue, type RelayOptions } from './outbox.ts'
import { event, setUpTables, tell } from './tables.fixture.ts'
import { transact } from './transaction.fixture.ts'

/** A relay that publishes into an array, stopped when the test is over. */
function startRelay(pool: pg.Pool, options: Partial<RelayOptions> = {}, published: OutboxRow[] = []) {
  const stopping = new AbortController()
  const publish = async (row: OutboxRow) => void published.push(row)
  const relay = createRelay({ pool, publish, pollMs: 100, retryBaseMs: 20, retryCapMs: 200, ...options })
  const running = relay.run(stopping.signal)
  const stop = async () => {
    stopping.abort()
    await running
  }
  onTestFinished(stop)
  return { published, stop, relay }
}

const eventually = (look: () => unknown) => expect.poll(look, { timeout: 10_000, interval: 10 })
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  onTestFinished(() => resolve())
  return { passed: promise, open: resolve }
}
const bodies = (rows: readonly OutboxRow[]) => rows.map(({ body }) => body)

test('what is committed is published, what is rolled back never', async () => {
  const { pool } = await setUpTables()
  const { published } = startRelay(pool)
  const told = await tell(pool, { body: 'kept' })
  const undone = transact(pool, async (tx) => {
    await enqueue(tx, event({ body: 'undone' }))
    throw new Error('the business says no')
  })
  await expect(undone).rejects.toThrow('the business says no')
  await tell(pool, { body: 'after' })
  await eventually(() => bodies(published)).toEqual(['kept', 'after'])
  expect(published[0]).toMatchObject({ ...told })
})

test('a commit wakes the relay, long before its next look', async () => {
  const { pool } = await setUpTables()
  const { published } = startRelay(pool, { pollMs: 60_000 })
  await eventually(async () => {
    const { rows } = await pool.query(`SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN outbox'`)
    return rows.length
  }).toBe(1)
  await tell(pool)
  await eventually(() => published.length).toBe(1)
})

test('fifty transactions of random length that commit in any order: none is skipped, the order per key is kept', async () => {
  const { pool, poolTo } = await setUpTables()
  const published: OutboxRow[] = []
  startRelay(poolTo(), { batchCount: 7 }, published)
  startRelay(poolTo(), { batchCount: 7 }, published)
  const committed: string[] = []
  const write = async (number: number) => {
    const key = `order-${number % 8}`
    await transact(pool, async (tx) => {
      await elapse(Math.random() * 100)
      await enqueue(tx, event({ key, body: String(number) }))
      await elapse(Math.random() * 100)
      committed.push(`${key} ${number}`) // the order of the commits within a key: the next one is still waiting for us
    })
  }
  await Promise.all(Array.from({ length: 50 }, (_, number) => write(number)))
  await eventually(() => published.length).toBe(50)
  for (let key = 0; key < 8; key++) {
    const numbers = published.filter((row) => row.key === `order-${key}`).map(({ body }) => `order-${key} ${body}`)
    expect(numbers).toEqual(committed.filter((line) => line.startsWith(`order-${key} `)))
  }
})

test('negative control: a reader that remembers the highest id skips what commits late', async () => {
  const { pool } = await setUpTables()
  let watermark = 0
  const naive: string[] = []
  const readNew = async () => {
    const { rows } = await pool.query('SELECT id::int, body FROM outbox WHERE id > $1 ORDER BY id', [watermark])
    watermark = Math.max(watermark, ...rows.map(({ id }) => id))
    naive.push(...rows.map(({ body }) => body))
  }
  const { published } = startRelay(pool)
  await transact(pool, async (slow) => {
    await enqueue(slow, event({ key: 'order-1', body: 'slow' }))
    await tell(pool, { key: 'order-2', body: 'fast' })
    await readNew()
    await eventually(() => bodies(published)).toEqual(['fast'])
  })
  await readNew()
  await eventually(() => bodies(published)).toEqual(['fast', 'slow'])
  expect(naive).toEqual(['fast'])
})

test('a relay does not overtake another that holds an earlier event of the key, and does not wait for it either', async () => {
  const { pool, poolTo } = await setUpTables()
  await tell(pool, { key: 'held', body: 'held 1' })
  await tell(pool, { key: 'held', body: 'held 2' })
  await tell(pool, { key: 'free', body: 'free 1' })
  const handling = gate()
  const published: OutboxRow[] = []
  let holdsIt = false
  startRelay(poolTo(), {
    batchCount: 1,
    async publish(row) {
      if (row.body === 'held 1') {
        holdsIt = true
        await handling.passed
      }
      published.push(row)
    },
  })
  await eventually(() => holdsIt).toBe(true)
  // Negative control: SKIP LOCKED alone hands out the second event of the key.
  const { rows } = await pool.query('SELECT body FROM outbox WHERE published_at IS NULL FOR UPDATE SKIP LOCKED')
  expect(rows).toEqual([{ body: 'held 2' }, { body: 'free 1' }])

  startRelay(poolTo(), {}, published)
  await eventually(() => bodies(published)).toEqual(['free 1'])
  handling.open()
  await eventually(() => bodies(published)).toEqual(['free 1', 'held 1', 'held 2'])
})

test('an event that cannot be published holds up its own key only', async () => {
  const { pool } = await setUpTables()
  let isRepaired = false
  const published: string[] = []
  startRelay(pool, {
    async publish({ body }) {
      if (body === 'bad' && !isRepaired) throw new Error('refused')
      published.push(body)
    },
  })
  await tell(pool, { key: 'a', body: 'bad' })
  await tell(pool, { key: 'a', body: 'behind' })
  for (let i = 0; i < 5; i++) await tell(pool, { key: 'b', body: String(i) })
  await eventually(() => published).toEqual(['0', '1', '2', '3', '4'])
  isRepaired = true
  await eventually(() => published.slice(5)).toEqual(['bad', 'behind'])
})

test('an outage of Redis is waited out, and nothing is lost by it', async () => {
  const { pool } = await setUpTables()
  let isAway = true
  let attempts = 0
  const published: string[] = []
  const { relay } = startRelay(pool, {
    async publish({ body }) {
      attempts += 1
      if (isAway) throw new Error('away')
      published.push(body)
    },
  })
  for (let i = 0; i < 10; i++) await tell(pool, { key: `order-${i % 2}`, body: String(i) })
  await eventually(() => attempts).toBeGreaterThan(6)
  expect(await relay.backlog()).toMatchObject({ count: 10 })
  isAway = false
  await eventually(() => published.length).toBe(10)
  await eventually(() => relay.backlog()).toEqual({ count: 0, oldestAgeMs: 0 })
})

test('a relay whose connections Postgres closes goes on', async () => {
  const { pool, poolTo } = await setUpTables()
  const { published } = startRelay(poolTo())
  await tell(pool, { body: '1' })
  await eventually(() => bodies(published)).toEqual(['1'])
  for (let round = 2; round < 5; round++) {
    await pool.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
    )
    await tell(pool, { body: String(round) })
    await eventually(() => bodies(published).at(-1)).toBe(String(round))
  }
})

test('a relay that is stopped in a batch marks what it has published and gives back its connections', async () => {
  const { pool, poolTo } = await setUpTables()
  for (let i = 0; i < 5; i++) await tell(pool, { body: String(i) })
  const handling = gate()
  const published: OutboxRow[] = []
  const own = poolTo()
  const { stop } = startRelay(own, {
    async publish(row) {
      published.push(row)
      if (row.body === '1') await handling.passed
    },
  })
  await eventually(() => published.length).toBe(2)
  const stopped = stop()
  handling.open()
  await stopped
  const { rows } = await pool.query('SELECT body FROM outbox WHERE published_at IS NOT NULL ORDER BY id')
  expect(rows).toEqual([{ body: '0' }, { body: '1' }])
  expect(own.totalCount).toBe(own.idleCount)
})

test('rows are deleted once published for long enough, and never before they are published', async () => {
  const { pool } = await setUpTables()
  const { published } = startRelay(pool, { retainMs: 3_600_000, cleanEveryMs: 20 })
  for (const body of ['old', 'young']) await tell(pool, { body })
  await eventually(() => published.length).toBe(2)
  await pool.query(`UPDATE outbox SET published_at = published_at - interval '2 hours' WHERE body = 'old'`)
  await pool.query(`INSERT INTO outbox (event_id, topic, key, type, body, created_at)
    SELECT gen_random_uuid(), 't', 'k', 'x', 'waiting', now() - interval '9 days'`)
  await eventually(async () => (await pool.query('SELECT body FROM outbox ORDER BY id')).rows).toEqual([
    { body: 'young' },
    { body: 'waiting' },
  ])
  await eventually(() => bodies(published).at(-1)).toBe('waiting')
})

test('what was published lately is published again on demand, in its order', async () => {
  const { pool } = await setUpTables()
  const { published, relay } = startRelay(pool)
  for (let i = 0; i < 3; i++) await tell(pool, { body: String(i) })
  await tell(pool, { topic: 'other:events', body: 'other' })
  await eventually(async () => [published.length, (await relay.backlog()).count]).toEqual([4, 0])
  expect(await relay.republish(new Date(Date.now() - 60_000), 'order:events')).toBe(3)
  await eventually(() => bodies(published).slice(4)).toEqual(['0', '1', '2'])
})
