/** A process that holds a lock and writes to what it protects, as its parent says, so that it can be stopped in the middle. */
import pg from 'pg'
import { closeRedis, connectRedis } from '../connection/connection.ts'
import { createLock, type Held, lockKeys } from './lock.ts'

export interface HolderSetup {
  redisUrl: string
  databaseUrl: string
  namespace: string
  ttlMs: number
}
export type Order =
  | { order: 'acquire'; waitMs: number }
  /** `naive` writes without looking at the fence. */
  | { order: 'write' | 'naive'; value: string }
  | { order: 'assert' }
  | { order: 'release' }

const { redisUrl, databaseUrl, namespace, ttlMs } = JSON.parse(process.argv[2] as string) as HolderSetup
const redis = connectRedis(redisUrl, { name: 'holder', commandTimeoutMs: 10_000 })
const client = new pg.Client(databaseUrl)
const lock = createLock(redis, { keys: lockKeys(namespace, 'test'), ttlMs })
let held: Held | undefined

async function perform(order: Order): Promise<unknown> {
  if (order.order === 'acquire') {
    const answer = await lock.acquire('row', { waitMs: order.waitMs })
    if (answer.status === 'taken') return answer.status
    held = answer
    answer.signal.addEventListener('abort', () => process.send?.({ event: 'lost' }))
    return answer.fence
  }
  if (held === undefined) throw new Error('nothing is held')
  if (order.order === 'assert') return held.assertValid()
  if (order.order === 'release') return held.release()
  const { value, order: how } = order
  const guard = how === 'write' ? 'fence < $2' : '$2::bigint > 0'
  const { rowCount } = await client.query(`UPDATE protected SET value = $1, fence = $2 WHERE id = 1 AND ${guard}`, [
    value,
    held.fence,
  ])
  return rowCount
}

await client.connect()
process.on('message', (order: Order) => {
  perform(order).then(
    (result) => process.send?.({ event: 'done', result }),
    (error) => process.send?.({ event: 'done', error: error.code ?? String(error) }),
  )
})
process.once('disconnect', async () => {
  await Promise.all([client.end(), closeRedis(redis)])
})
process.send?.({ event: 'ready' })
