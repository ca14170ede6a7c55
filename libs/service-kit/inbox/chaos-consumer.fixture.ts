/**
 * A consumer as services have them: reads in order, has its effect in Postgres with the inbox, acks. It goes on through every outage;
 * a poison it fails, and a killer takes the process with it.
 */
import { connectRedis } from '@shop/redis-kit/connection'
import { createTopic, type Message, topicKeys } from '@shop/redis-kit/stream'
import { type Transaction, transact } from '../outbox/transaction.fixture.ts'
import { createPool } from '../storage/database.ts'
import { isDependencyOutage } from '../storage/outage.ts'
import { once } from './inbox.ts'

const [databaseUrl = '', redisUrl = '', service = '', consumer = '', minIdleMs = ''] = process.argv.slice(2)
const partitions = 4
const pool = createPool(databaseUrl, { name: consumer, poolMax: 4 })
const redis = connectRedis(redisUrl, { name: consumer, commandTimeoutMs: 1000 })
const topic = createTopic(redis, { keys: topicKeys(service, 'events', { partitions }) })

async function handle({ eventId, key, body, deliveryCount }: Message): Promise<void> {
  await pool.query('INSERT INTO deliveries (event_id, body, delivery_count) VALUES ($1, $2, $3)', [
    eventId,
    body,
    deliveryCount,
  ])
  if (body === 'poison') throw new RangeError('nobody can handle this')
  if (body === 'killer') process.kill(process.pid, 'SIGKILL')
  await transact(pool, async (tx: Transaction) => {
    if (!(await once(tx, { group: 'group', eventId }))) return
    await tx.query('INSERT INTO effects (event_id, key, number) VALUES ($1, $2, $3)', [eventId, key, Number(body)])
  })
}

async function consume(): Promise<void> {
  const messages = topic.read({
    group: 'group',
    consumer,
    connect: () => connectRedis(redisUrl, { name: `${consumer}-blocking`, role: 'blocking' }),
    signal: new AbortController().signal,
    minIdleMs: Number(minIdleMs),
    retryBaseMs: 50,
    retryCapMs: 500,
    isOutage: isDependencyOutage,
  })
  const work = async () => {
    for await (const message of messages) {
      try {
        await handle(message)
        await message.ack()
      } catch (error) {
        await message.fail(error)
      }
    }
  }
  await Promise.all(Array.from({ length: partitions }, work))
}

// Started again when it fails, as the loops of a service are: an ack insists, but not for ever.
while (true) await consume().catch(() => undefined)
