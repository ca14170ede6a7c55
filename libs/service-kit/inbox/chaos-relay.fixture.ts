/** A relay as services have it, in a process of its own. */
import { connectRedis } from '@shop/redis-kit/connection'
import { topicKeys } from '@shop/redis-kit/stream'
import { createTopicRelay } from '../outbox/topic-relay.ts'
import { createPool } from '../storage/database.ts'

const [databaseUrl = '', redisUrl = '', service = '', name = ''] = process.argv.slice(2)
const relay = createTopicRelay(connectRedis(redisUrl, { name, commandTimeoutMs: 1000 }), {
  pool: createPool(databaseUrl, { name, poolMax: 4 }),
  keys: topicKeys(service, 'events', { partitions: 4 }),
  connect: () => connectRedis(redisUrl, { name: `${name}-blocking`, role: 'blocking' }),
  resendAfterMs: 5000,
})
await relay.run(new AbortController().signal)
