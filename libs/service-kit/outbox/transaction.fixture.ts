/** Transactions with the part of Prisma's transaction client that outbox and inbox use. Loads nothing of the test runner. */
import type pg from 'pg'
import type { InboxTransaction } from '../inbox/inbox.ts'
import type { OutboxTransaction } from './outbox.ts'

export type Transaction = OutboxTransaction & InboxTransaction & { query: pg.PoolClient['query'] }

/** As `prisma.$transaction`: commits, or rolls back when the work throws. */
export async function transact<Result>(pool: pg.Pool, work: (tx: Transaction) => Promise<Result>): Promise<Result> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await work(transactionOf(client))
    await client.query('COMMIT')
    client.release()
    return result
  } catch (error) {
    client.release(true)
    throw error
  }
}

function transactionOf(client: pg.PoolClient): Transaction {
  const run = async (text: string, values: unknown[]) => (await client.query(text, values)).rowCount ?? 0
  return {
    query: client.query.bind(client) as Transaction['query'],
    $executeRawUnsafe: (text, ...values) => run(text, values),
    outboxEvent: {
      create: ({ data: { eventId, topic, key, type, body } }) =>
        run('INSERT INTO outbox (event_id, topic, key, type, body) VALUES ($1, $2, $3, $4, $5)', [
          eventId,
          topic,
          key,
          type,
          body,
        ]),
    },
    inboxEvent: {
      async createMany({ data }) {
        const columns = [data.map(({ group }) => group), data.map(({ eventId }) => eventId)]
        const insert = 'INSERT INTO inbox ("group", event_id) SELECT * FROM unnest($1::text[], $2::uuid[])'
        return { count: await run(`${insert} ON CONFLICT DO NOTHING`, columns) }
      },
    },
  }
}
