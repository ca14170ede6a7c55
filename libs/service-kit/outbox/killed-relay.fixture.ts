/** A relay whose process is killed at one step of a batch, by a wrapper around what it speaks to Postgres and Redis with. */
import { connectRedis, type Redis } from '@shop/redis-kit/connection'
import { topicKeys } from '@shop/redis-kit/stream'
import type pg from 'pg'
import { createPool } from '../storage/database.ts'
import { createTopicRelay } from './topic-relay.ts'

type Command = Parameters<Redis['sendCommand']>[0]

const [databaseUrl = '', redisUrl = '', service = '', step = ''] = process.argv.slice(2)
const [point = '', count = '1'] = step.split(' ')
const redis = connectRedis(redisUrl, { name: service, commandTimeoutMs: 5000 })
const pool = createPool(databaseUrl, { name: 'killed' })
let reachedCount = 0

/** `selected`, `published 2` (the second publication), `marked`, `committed`. */
function reach(name: string): void {
  if (name === point && ++reachedCount === Number(count)) process.kill(process.pid, 'SIGKILL')
}

/** What comes back from a query is known here before the relay hears of it. (`pool.query` connects with a callback.) */
function watchPool(): void {
  const connect = pool.connect.bind(pool) as (callback?: unknown) => Promise<pg.PoolClient>
  const watched = new WeakSet<pg.PoolClient>()
  pool.connect = (async (callback?: unknown) => {
    if (callback) return connect(callback)
    const client = await connect()
    if (!watched.has(client)) watchQueries(client)
    watched.add(client)
    return client
  }) as typeof pool.connect
}

function watchQueries(client: pg.PoolClient): void {
  const query = client.query.bind(client) as (text: string, values?: unknown[]) => Promise<pg.QueryResult>
  let hasMarked = false
  client.query = (async (text: string, values?: unknown[]) => {
    const result = await query(text, values)
    if (text.includes('SKIP LOCKED') && (result.rowCount ?? 0) > 0) reach('selected')
    hasMarked ||= text.includes('stream_number = sent.number')
    if (hasMarked) reach(text === 'COMMIT' ? 'committed' : 'marked')
    return result
  }) as typeof client.query
}

function watchRedis(client: Redis): void {
  const send = client.sendCommand.bind(client) as (command: Command, ...rest: unknown[]) => unknown
  client.sendCommand = ((command: Command, ...rest: unknown[]) => {
    if (command.args.some((argument) => String(argument).includes(':seen:'))) {
      void command.promise.then(() => reach('published'))
    }
    return send(command, ...rest)
  }) as typeof client.sendCommand
}

watchPool()
watchRedis(redis)
const relay = createTopicRelay(redis, {
  pool,
  keys: topicKeys(service, 'events', { partitions: 2 }),
  connect: () => connectRedis(redisUrl, { name: `${service}-blocking`, role: 'blocking' }),
})
await relay.run(new AbortController().signal)
