/** The stream of this repository: one topic of one partition, so that it is one stream as everybody else's. */
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'

export async function connectOurs(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'bench', commandTimeoutMs: 10_000 })
  await whenReady(redis, 5_000)
  return redis
}

/** A new one for each round, so that none is measured on what others left. */
export function openTopic(redis: Redis, name: string) {
  const keys = topicKeys('bench', name, { partitions: 1, dedupeMs: 60_000 })
  const topic = createTopic(redis, { keys })
  const remove = () => redis.unlink(keys.stream.key(0))
  return { topic, remove }
}

export { closeRedis }
