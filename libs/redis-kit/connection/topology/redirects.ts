/**
 * How a Cluster client follows MOVED, ASK and TRYAGAIN. ioredis follows eight of them, whatever time that takes, asks a node at
 * random after TRYAGAIN (which costs two more of the eight), and then hands the last one to the caller. Here time decides:
 *
 *     a command        MOVED and ASK are followed; after TRYAGAIN, or after eight in a row, the gate asks again until the deadline
 *     a transaction    ioredis sends the whole to where it belongs, again and again until the deadline. It has changed nothing
 *
 * The commands of a pipeline that is not a transaction are sent on one by one (gate.ts). ioredis would also send those again that
 * were answered, and ask the new node for keys that the old one still has.
 */
import type { Cluster } from 'ioredis'

type Count = { value?: number; sinceMs?: number }
type HandleError = (
  error: Error,
  count: Count,
  handlers: Record<'defaults' | 'maxRedirections', (error?: Error) => void>,
) => void

export function boundRedirects(cluster: Cluster, timeoutMs: number): void {
  const client = cluster as unknown as { handleError: HandleError }
  const follow = client.handleError.bind(cluster)

  client.handleError = (error, count, handlers) => {
    const isTryAgain = error.message.startsWith('TRYAGAIN')
    if (error instanceof Error) {
      const isLast = (count.value ?? Number.POSITIVE_INFINITY) <= 1
      if (isLast) count.value = undefined
      if (isTryAgain || isLast) handlers.defaults()
      else follow(error, count, handlers)
      return
    }
    // A pipeline asks with a copy of name and message only.
    count.sinceMs ??= performance.now()
    if (performance.now() - count.sinceMs > timeoutMs) handlers.maxRedirections(error)
    else follow(error, isTryAgain ? {} : count, handlers)
  }
}
