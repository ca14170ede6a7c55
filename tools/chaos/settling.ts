/** The wait for the end of everything that was begun: orders, refunds, outboxes, streams. */
import { setTimeout as sleep } from 'node:timers/promises'
import { topics } from '@shop/contracts/topics'
import { closeRedis, connectRedis, type Redis } from '@shop/redis-kit/connection'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'
import { createClient, unlimited } from '@shop/service-kit/storage/database'
import type { RedisAddress } from '@shop/test-kit/redis-wire'
import type { StreamState } from './books.ts'

export interface SettlingOptions {
  databaseUrls: { catalog: string; order: string }
  /** As a user who may read all streams. */
  redis: RedisAddress
  timeoutMs: number
}

export interface Settled {
  streams: StreamState[]
  /** How long it took, or undefined when it had not ended at the deadline. */
  tookMs: number | undefined
}

/** Who reads what, by the topics' declarations. */
const readings = [
  { topic: topics.orderEvents, group: 'catalog' },
  { topic: topics.catalogStock, group: 'order' },
  { topic: topics.catalogProducts, group: 'catalog-cache' },
] as const
const lookEveryMs = 500

const openQueries = {
  order: `SELECT (SELECT count(*) FROM orders WHERE status IN ('pending', 'reserved'))
    + (SELECT count(*) FROM refunds WHERE status <> 'done')
    + (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS count`,
  catalog: 'SELECT count(*) FROM outbox WHERE published_at IS NULL',
}

/** Resolves at the deadline too: what is open then is for the books to say. */
export async function settle({ databaseUrls, redis: address, timeoutMs }: SettlingOptions): Promise<Settled> {
  const redis = connectRedis(`redis://${address.username}:${address.password}@127.0.0.1:${address.port}`, {
    name: 'chaos',
    commandTimeoutMs: 5_000,
  })
  const startedMs = Date.now()
  try {
    for (;;) {
      const [openCount, streams] = [await countOpen(databaseUrls), await streamStates(redis)]
      const isSettled = openCount === 0 && streams.every((one) => one.unreadCount + one.pendingCount === 0)
      const tookMs = Date.now() - startedMs
      if (isSettled) return { streams, tookMs }
      if (tookMs > timeoutMs) return { streams, tookMs: undefined }
      await sleep(lookEveryMs)
    }
  } finally {
    await closeRedis(redis)
  }
}

async function countOpen(urls: SettlingOptions['databaseUrls']): Promise<number> {
  const counts = await Promise.all(
    (['order', 'catalog'] as const).map(async (service) => {
      const client = createClient(urls[service], { name: 'chaos', connectTimeoutMs: 5_000, ...unlimited })
      await client.connect()
      try {
        return Number((await client.query(openQueries[service])).rows[0].count)
      } finally {
        await client.end()
      }
    }),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

function streamStates(redis: Redis): Promise<StreamState[]> {
  return Promise.all(
    readings.map(async ({ topic: { service, entity, ...options }, group }) => {
      const stats = await createTopic(redis, { keys: topicKeys(service, entity, options) }).stats(group)
      return {
        stream: `${service}:${entity}`,
        group,
        unreadCount: stats.lagCount,
        pendingCount: stats.pendingCount,
        deadLetterCount: stats.deadLetterCount,
      }
    }),
  )
}
