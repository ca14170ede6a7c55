/** A process that works in its turn. It reports each release with the server's clock, and can be killed while it waits. */
import { closeRedis, connectRedis, whenReady } from '../../connection/connection.ts'
import { createLeakyQueue, leakyQueueKeys } from './queue.ts'

export interface WorkerSetup {
  redisUrl: string
  namespace: string
  limit: { count: number; periodMs: number }
  capacity: number
  calls: number
  /** Its calls are in a queue of their own. */
  isAlone?: boolean
}
export interface WorkerReport {
  /** When each call was released, us, in the order of the releases. */
  releasedUs: number[]
  refusedCount: number
}

const setup = JSON.parse(process.argv[2] as string) as WorkerSetup
const redis = connectRedis(setup.redisUrl, { name: 'worker', commandTimeoutMs: 20_000 })
await whenReady(redis, 20_000)
const { limit, capacity, isAlone = false } = setup
const keys = leakyQueueKeys(setup.namespace, 'test', 'state')
const queue = createLeakyQueue(redis, { keys, limit, capacity, onUnavailable: 'closed', deadlineMs: 20_000 })
process.send?.('ready')

process.once('message', async () => {
  const releasedUs: number[] = []
  const call = () =>
    queue.run(isAlone ? String(process.pid) : 'a', async () => {
      const [seconds, micros] = await redis.time()
      releasedUs.push(Number(seconds) * 1e6 + Number(micros))
    })
  const ran = await Promise.all(Array.from({ length: setup.calls }, call))
  const report: WorkerReport = { releasedUs, refusedCount: ran.filter(({ status }) => status === 'refused').length }
  process.send?.(report)
  await closeRedis(redis)
  process.disconnect?.()
})
