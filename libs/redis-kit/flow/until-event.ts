import type { EventEmitter } from 'node:events'

/**
 * Resolves with true when the event comes, with false after `timeoutMs`. Never rejects. Unlike `once` of node:events it does not end
 * at the first 'error': while the other side is away, errors are waited out.
 */
export function untilEvent(source: EventEmitter, event: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(settle, timeoutMs, false)
    const onEvent = () => settle(true)
    source.once(event, onEvent)

    function settle(hasHappened: boolean) {
      clearTimeout(timer)
      source.removeListener(event, onEvent)
      resolve(hasHappened)
    }
  })
}
