/** A consumer that kills its process somewhere in its work: with the transaction open, or between the commit and the ack. */
import { connectRedis } from '@shop/redis-kit/connection'
import { createTopic, topicKeys } from '@shop/redis-kit/stream'
import { type Transaction, transact } from '../outbox/transaction.fixture.ts'
import { createPool } from '../storage/database.ts'
import { once } from './inbox.ts'

const [databaseUrl = '', redisUrl = '', service = '', consumer = '', life = '', concurrencyText = ''] =
  process.argv.slice(2)
const concurrency = Number(concurrencyText)
const pool = createPool(databaseUrl, { name: consumer })
const redis = connectRedis(redisUrl, { name: consumer, commandTimeoutMs: 5000 })
const topic = createTopic(redis, { keys: topicKeys(service, 'events', { partitions: 2 }) })
let stepCount = 0

/** Each handled message has three steps at which it may be the end. */
function step(): void {
  stepCount += 1
  if (stepCount === Number(life)) process.kill(process.pid, 'SIGKILL')
}

const messages = topic.read({
  group: 'group',
  consumer,
  concurrency,
  connect: () => connectRedis(redisUrl, { name: `${consumer}-blocking`, role: 'blocking' }),
  signal: new AbortController().signal,
  minIdleMs: 600,
  maxDeliveries: 50,
})

async function work(): Promise<void> {
  for await (const { eventId, key, body, ack } of messages) {
    await pool.query('INSERT INTO deliveries (event_id) VALUES ($1)', [eventId])
    step()
    await transact(pool, async (tx: Transaction) => {
      if (!(await once(tx, { group: 'group', eventId }))) return
      await tx.query('INSERT INTO effects (event_id, key, number) VALUES ($1, $2, $3)', [eventId, key, Number(body)])
      step()
    })
    step()
    await ack()
  }
}
await Promise.all(Array.from({ length: concurrency }, work))
