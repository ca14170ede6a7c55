/** A service whose effects can be counted, as a process of its own. It tells its parent where it listens and what it is doing. */
import { setTimeout as sleep } from 'node:timers/promises'
import { closeRedis, connectRedis } from '@shop/redis-kit/client'
import { createIdempotency, idempotencyKeys } from '@shop/redis-kit/idempotency'
import pg from 'pg'
import { guardIdempotency } from './idempotency.ts'
import { createLog } from './log.ts'
import { createServer } from './server.ts'

export interface FixtureSetup {
  redisUrl: string
  databaseUrl: string
  namespace: string
  leaseMs: number
  /** Where its handler of /orders stops for ever, to be killed there. */
  hangsAt?: 'before-commit' | 'after-commit'
}

const { redisUrl, databaseUrl, namespace, leaseMs, hangsAt } = JSON.parse(process.argv[2] as string) as FixtureSetup
const redis = connectRedis(redisUrl, { name: 'idempotency-fixture', commandTimeoutMs: 10_000 })
const pool = new pg.Pool({ connectionString: databaseUrl, max: 20 })
const keys = idempotencyKeys(namespace, 'test')
const server = createServer({
  log: createLog({ service: 'fixture', instanceId: 'f', level: 'silent' }),
  identity: 'none',
})
const config = { idempotent: { required: true } }
const tell = (event: string) => process.send?.({ event })

guardIdempotency(server, createIdempotency(redis, { keys, leaseMs, ttlMs: 600_000 }), { tenant: () => 'tenant' })

/** Nothing but the key keeps this from happening twice. */
async function effect(): Promise<{ id: string }> {
  const { rows } = await pool.query('INSERT INTO effects DEFAULT VALUES RETURNING id')
  await sleep(200)
  return { id: rows[0].id }
}
server.post('/effects', { config }, (_request, reply) => reply.code(202).send(effect()))

/** What is often written: look, act, remember. */
server.post('/naive', async (request, reply) => {
  const key = keys.key('naive', String(request.headers['idempotency-key']))
  const known = await redis.get(key)
  if (known !== null) return reply.code(202).send(known)
  const body = JSON.stringify(await effect())
  await redis.set(key, body, 'PX', 600_000)
  return reply.code(202).send(body)
})

/** Money: the row of the key decides, and this process may be killed before or after it is committed. */
server.post('/orders', { config }, async (request, reply) => {
  if (hangsAt === 'before-commit') await hangForEver()
  const { rows } = await pool.query(
    `WITH placed AS (INSERT INTO orders (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id)
     SELECT id FROM placed UNION ALL SELECT id FROM orders WHERE key = $1 LIMIT 1`,
    [request.headers['idempotency-key']],
  )
  if (hangsAt === 'after-commit') await hangForEver()
  return reply.code(202).send({ id: rows[0].id })
})

async function hangForEver() {
  tell('hanging')
  await new Promise(() => {})
}

process.once('disconnect', async () => {
  await server.close()
  await Promise.all([pool.end(), closeRedis(redis)])
})
const address = await server.listen({ port: 0, host: '127.0.0.1' })
process.send?.({ event: 'listening', url: address })
