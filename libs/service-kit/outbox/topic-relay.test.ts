import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { topicKeys } from '@shop/redis-kit/stream'
import { testDatabase } from '@shop/test-kit/postgres'
import { testRedis } from '@shop/test-kit/redis'
import { expect, it } from 'vitest'
import { createPool } from '../storage/database.ts'
import { createTopicRelay } from './topic-relay.ts'

const redis = await testRedis({ allowImmortal: (key) => key.endsWith(':stream') })
const database = await testDatabase('order')

it('what Redis has lost after confirming it is published again', async () => {
  const keys = topicKeys(redis.namespace(), 'events', { partitions: 1 })
  const connection = connectRedis(redis.url, { name: 'test' })
  const pool = createPool(database.url, { name: 'test', poolMax: 4 })
  const stopping = new AbortController()
  const warned: string[] = []
  const relay = createTopicRelay(connection, { keys, pool, log: { warn: (_, text) => void warned.push(text) } })
  const running = relay.run(stopping.signal)
  const stream = keys.stream.key(0)
  const eventIds = async () =>
    (await connection.xrange(stream, '-', '+')).map(([, fields]) => fields[fields.indexOf('id') + 1])

  const lost = await enqueue()
  await expect.poll(eventIds, { timeout: 10_000 }).toEqual([lost])
  // As after a failover to a replica that was behind: the stream and the markers of its events are gone.
  await connection.del(stream, keys.seen.key(0, lost))
  const next = await enqueue()
  await expect.poll(async () => (await eventIds()).toSorted(), { timeout: 10_000 }).toEqual([lost, next].toSorted())
  expect(warned.join()).toContain('outbox events republished')

  stopping.abort()
  await running
  await Promise.all([pool.end(), closeRedis(connection)])

  async function enqueue(): Promise<string> {
    const id = randomUUID()
    await pool.query("INSERT INTO outbox (event_id, topic, key, type, body) VALUES ($1, $2, 'k', 'test', '{}')", [
      id,
      keys.name,
    ])
    return id
  }
})

it('each event goes to the topic that its row names, and one for an unknown topic holds up no other', async () => {
  const service = redis.namespace()
  const keys = ['stock', 'products'].map((entity) => topicKeys(service, entity, { partitions: 1 }))
  const connection = connectRedis(redis.url, { name: 'test' })
  const pool = createPool(database.url, { name: 'test', poolMax: 4 })
  const stopping = new AbortController()
  const names = [`${service}:unheard-of`, ...keys.map(({ name }) => name)]
  for (const name of names) {
    await pool.query("INSERT INTO outbox (event_id, topic, key, type, body) VALUES ($1, $2, 'k', 'test', '{}')", [
      randomUUID(),
      name,
    ])
  }
  const running = createTopicRelay(connection, { keys, pool }).run(stopping.signal)
  const lengths = () => Promise.all(keys.map(({ stream }) => connection.xlen(stream.key(0))))
  await expect.poll(lengths, { timeout: 10_000 }).toEqual([1, 1])
  const unpublished = async () =>
    (await pool.query<{ topic: string }>('SELECT topic FROM outbox WHERE published_at IS NULL')).rows
  await expect.poll(unpublished, { timeout: 10_000 }).toEqual([{ topic: names[0] }])

  stopping.abort()
  await running
  await pool.query('DELETE FROM outbox')
  await Promise.all([pool.end(), closeRedis(connection)])
})
