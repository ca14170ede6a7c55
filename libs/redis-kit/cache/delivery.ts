/**
 * Proves that invalidations arrive: once a second a message of our own is published by the way that invalidations take, and has to
 * come back by the way on which they are received. A connection that lives proves less: it may lead to a node that was
 * replaced, or to a server that does not pass messages on.
 */
import { randomUUID } from 'node:crypto'

const EVERY_MS = 1_000
/** The way is proven for so long after a message was sent that came back. */
const PROVEN_MS = 3_000
const MAX_AWAITED_COUNT = 5

export interface DeliveryOptions {
  publish(message: string): Promise<unknown>
  /** Messages may have been lost: the way was not proven for a while. */
  onDoubt(): void
}

export function createDelivery({ publish, onDoubt }: DeliveryOptions) {
  const name = randomUUID()
  const sentAtMs = new Map<number, number>()
  let count = 0
  let provenAtMs = Number.NEGATIVE_INFINITY
  let isProvenOnce = false
  let timer: NodeJS.Timeout | undefined

  function probe() {
    sentAtMs.set(++count, performance.now())
    sentAtMs.delete(count - MAX_AWAITED_COUNT)
    publish(`p${name} ${count}`).catch(() => {}) // then it does not come back
  }

  return {
    start() {
      probe()
      timer ??= setInterval(probe, EVERY_MS).unref()
    },
    /** A message without its first letter; those of other processes prove nothing here. */
    hear(text: string) {
      const [sender, number] = text.split(' ')
      const sentMs = sender === name ? sentAtMs.get(Number(number)) : undefined
      if (sentMs === undefined || sentMs <= provenAtMs) return
      if (isProvenOnce && performance.now() - provenAtMs > PROVEN_MS) onDoubt()
      isProvenOnce = true
      provenAtMs = sentMs
    },
    isProven: (nowMs: number) => nowMs - provenAtMs <= PROVEN_MS,
    stop: () => clearInterval(timer),
  }
}
