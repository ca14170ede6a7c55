/** A relay that kills its process after it has published so many events of a batch, before it can mark any of them. */
import { closeRedis, connectRedis } from '@shop/redis-kit/client'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'
import { createPool } from '../database.ts'
import { createRelay } from './outbox.ts'

const [databaseUrl = '', redisUrl = '', service = '', killAfter = ''] = process.argv.slice(2)
const redis = connectRedis(redisUrl, { name: service, commandTimeoutMs: 5000 })
const topic = createTopic(redis, { keys: topicKeys(service, 'events', { partitions: 2 }) })
let publishedCount = 0

const relay = createRelay({
  pool: createPool(databaseUrl, { name: 'killed' }),
  async publish(row) {
    await topic.publish({ ...row, id: row.eventId })
    publishedCount += 1
    if (publishedCount === Number(killAfter)) process.kill(process.pid, 'SIGKILL')
  },
})
await relay.run(new AbortController().signal)
await closeRedis(redis)
