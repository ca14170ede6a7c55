import type { Cluster, Redis as Server } from 'ioredis'

/**
 * Resolves with true when the event comes, with false after `timeoutMs`. Never rejects. Unlike `once` of node:events it does not end
 * at the first 'error': while a server is away, errors are waited out.
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
