/** A Redis of its own that may be harmed and set back, an outbox, relays for it, and a consumer with an inbox. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeRedis, connectRedis, type Redis } from '@shop/redis-kit/connection'
import { createTopic, type Topic, topicKeys } from '@shop/redis-kit/stream'
import { createJanitor } from '@shop/redis-kit/stream/janitor'
import { startRedis } from '@shop/test-kit/redis-server'
import type pg from 'pg'
import { expect, onTestFinished } from 'vitest'
import { once } from '../inbox/inbox.ts'
import type { Loss } from './audit.ts'
import { setUpTables, tell } from './tables.fixture.ts'
import { createTopicRelay, type TopicRelayOptions } from './topic-relay.ts'
import { transact } from './transaction.fixture.ts'

export const eventually = (look: () => unknown) => expect.poll(look, { timeout: 20_000, interval: 20 })

const keys = topicKeys('order', 'events', { partitions: 2 })
const streams = [keys.stream.key(0), keys.stream.key(1)] as const

export async function setUpWithRedis(config: Record<string, string> = {}) {
  const { server, ...files } = await startHarmableRedis(config)
  const { pool, poolTo } = await setUpTables()
  const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 1000 })
  onTestFinished(() => closeRedis(redis))
  const topic = createTopic(redis, { keys })
  const connect = () => connectRedis(server.url, { name: 'blocking', role: 'blocking' })
  const losses: Loss[] = []
  const startRelay = (options: Partial<TopicRelayOptions> = {}) =>
    runRelay(server.url, { keys, pool: poolTo(), connect, onLoss: (loss) => losses.push(loss), ...options })

  let toldCount = 0
  /** So many events more, numbered on, of three keys in turns. */
  async function tellMore(count: number) {
    for (let i = 0; i < count; i++) {
      const number = toldCount++
      await tell(pool, { key: `order-${number % 3}`, body: String(number) })
    }
  }
  async function effectNumbers(): Promise<number[]> {
    const { rows } = await pool.query<{ number: number }>('SELECT number FROM effects ORDER BY id')
    return rows.map(({ number }) => number)
  }
  /** What is on the stream, per key. */
  async function numbersByKey(): Promise<number[][]> {
    const entries = (await Promise.all(streams.map((stream) => redis.xrange(stream, '-', '+')))).flat()
    const events = entries.map(([, [, , , key, , , , body]]) => ({ key, number: Number(body) }))
    return [0, 1, 2].map((key) => events.filter((one) => one.key === `order-${key}`).map(({ number }) => number))
  }
  const untilPublished = () =>
    eventually(async () => (await pool.query('SELECT 1 FROM outbox WHERE published_at IS NULL')).rowCount).toBe(0)

  return {
    ...files,
    server,
    pool,
    redis,
    topic,
    streams,
    losses,
    startRelay,
    startConsumer: () => runConsumer(topic, pool, connect),
    tellMore,
    effectNumbers,
    numbersByKey,
    untilPublished,
    tidy: () => createJanitor(redis, { keys, retainMs: 0 }).tidy(),
  }
}

async function startHarmableRedis(config: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), 'shop-outbox-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const [now, before] = [join(dir, 'now'), join(dir, 'before')]
  const server = await startRedis({ dir: now, config: { appendonly: 'yes', appendfsync: 'always', ...config } })
  onTestFinished(() => server.stop())

  const copyFiles = () => cpSync(now, before, { recursive: true })
  /** As after a restore from a backup: the files are those that were copied. */
  async function setBack() {
    await server.kill('SIGKILL')
    rmSync(now, { recursive: true })
    cpSync(before, now, { recursive: true })
    await server.restart()
  }
  return { server, copyFiles, setBack }
}

function runRelay(url: string, options: TopicRelayOptions) {
  const connection = connectRedis(url, { name: 'relay', commandTimeoutMs: 1000 })
  const stopping = new AbortController()
  const patience = { auditEveryMs: 100, pollMs: 100, retryBaseMs: 20, retryCapMs: 200 }
  const relay = createTopicRelay(connection, { ...patience, ...options })
  const running = relay.run(stopping.signal)
  const stop = async () => {
    stopping.abort()
    await running
    await closeRedis(connection)
  }
  onTestFinished(stop)
  return { relay, stop }
}

/** Effects of the events in the database, each once: in an ordered group, with an inbox. */
function runConsumer(topic: Topic, pool: pg.Pool, connect: () => Redis) {
  const stopping = new AbortController()
  const deliveries: string[] = []
  const loop = async () => {
    const messages = topic.read({ group: 'group', consumer: 'a', connect, signal: stopping.signal })
    for await (const { eventId, key, body, ack } of messages) {
      deliveries.push(body)
      await transact(pool, async (tx) => {
        if (!(await once(tx, { group: 'group', eventId }))) return
        await tx.query('INSERT INTO effects (event_id, key, number) VALUES ($1, $2, $3)', [eventId, key, Number(body)])
      })
      await ack()
    }
  }
  const running = loop()
  running.catch(() => undefined) // it fails the test at its end
  onTestFinished(async () => {
    stopping.abort()
    await running
  })
  return { deliveries }
}

/** 0, 1, 2 … as they are told: of three keys in turns. */
export const inTurns = (count: number) =>
  [0, 1, 2].map((key) => Array.from({ length: count }, (_, number) => number).filter((number) => number % 3 === key))
export const upTo = (count: number) => Array.from({ length: count }, (_, number) => number)
export const sorted = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)
