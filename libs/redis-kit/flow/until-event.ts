import type { Cluster, Redis as Server } from 'ioredis'

/**
 * Did it happen in time? Unlike `once` of node:events this does not end at the first 'error': while a server is away,
 * errors are what we wait out.
 */
export function untilEvent(redis: Server | Cluster, event: 'ready' | 'end', timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(settle, timeoutMs, false)
    const onEvent = () => settle(true)
    redis.once(event, onEvent)

    function settle(hasHappened: boolean) {
      clearTimeout(timer)
      redis.removeListener(event, onEvent)
      resolve(hasHappened)
    }
  })
}
