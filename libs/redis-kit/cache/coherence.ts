/**
 * Keeps the copies in this process honest. Other processes announce what they invalidate on a channel; here that drops the
 * copy, and it forbids that a read which began earlier puts the old value back.
 *
 * One counter does what epochs per key and for everything do: it grows with every invalidation, and remembers when each key
 * and when everything was invalidated last. A read notes the counter before it asks Redis; its answer may be kept only if
 * nothing that concerns it has happened since. Keys share 4,096 places: a collision costs one copy that is not kept.
 *
 * Pub/sub loses messages whenever the connection is lost, so a gap means that anything may have changed: all copies are
 * dropped, and none is read or made until the subscriber is healthy again and a message has come back (delivery.ts).
 */
import type { Subscriber } from '../connection/connection.ts'
import type { CoarseClock } from './coarse-clock.ts'
import { createDelivery } from './delivery.ts'
import type { OnEvent } from './events.ts'

const PLACES = 4096

/** What has to forget: the stores of copies, and the reads under way that others could still join. */
export interface Listener {
  drop(id: string): void
  dropTag(tag: string): void
  clear(): void
}

export type Coherence = ReturnType<typeof createCoherence>

export interface CoherenceOptions {
  /** Without one there are no copies, and only this process's own invalidations are heard. */
  subscriber?: Subscriber
  channel: string
  /** On the channel, as invalidations are published. */
  publish(message: string): Promise<unknown>
  coarseClock: CoarseClock
  onEvent?: OnEvent
}

/** Why copies are neither read nor made. */
export type CopiesOff = 'not-subscribed' | 'subscriber-unhealthy' | 'undelivered'

export function createCoherence({ subscriber, channel, publish, coarseClock, onEvent }: CoherenceOptions) {
  const channels = subscriber?.sharded ?? subscriber // as announcements.ts publishes
  const listeners = new Set<Listener>()
  const invalidatedAt = new Float64Array(PLACES)
  let flushedAt = 0
  let counter = 0
  let isSubscribed = false
  let isHealthy = false
  let checkedAtMs = 0

  const delivery = createDelivery({ publish, onDoubt: () => flush('no message came back') })
  const stopHearingGaps = channels?.onGap(({ reason }) => flush(reason))
  const subscription = channels?.subscribe(channel, hear).then((unsubscribe) => {
    forget()
    isSubscribed = true
    delivery.start()
    return unsubscribe
  })
  subscription?.catch((error) => onEvent?.('local-error', { error }))

  function hear(message: string) {
    const subject = message.slice(1)
    if (message[0] === 'k') drop(subject)
    else if (message[0] === 't') dropTag(subject)
    else if (message[0] === 'p') delivery.hear(subject)
    else flush(`an unknown message: ${message.slice(0, 20)}`) // of a later release perhaps: when in doubt, forget
  }

  function drop(id: string) {
    invalidatedAt[placeOf(id)] = ++counter
    for (const listener of listeners) listener.drop(id)
  }

  /** Which reads under way will turn out to carry the tag is not known: none of them is kept. */
  function dropTag(tag: string) {
    flushedAt = ++counter
    for (const listener of listeners) listener.dropTag(tag)
  }

  function flush(reason: string) {
    forget()
    onEvent?.('local-flush', { reason })
  }

  function forget() {
    isHealthy = false // until it is asked again
    checkedAtMs = 0
    flushedAt = ++counter
    for (const listener of listeners) listener.clear()
  }

  /** The answer is good for one reading of the coarse clock. */
  function isUsable(nowMs = coarseClock()): boolean {
    if (nowMs === checkedAtMs) return isHealthy
    checkedAtMs = nowMs
    isHealthy = offReason(nowMs) === undefined
    return isHealthy
  }

  function offReason(nowMs: number): CopiesOff | undefined {
    if (!isSubscribed) return 'not-subscribed'
    if (channels?.isHealthy() !== true) return 'subscriber-unhealthy'
    return delivery.isProven(nowMs) ? undefined : 'undelivered'
  }

  return {
    /** May copies be read and made at this moment? */
    isUsable,
    /** Undefined when they may. */
    offReason: () => offReason(performance.now()),
    /** To note before Redis is asked. */
    capture: () => counter,
    /** Has nothing that concerns the id happened since? */
    isCurrent: (id: string, captured: number) =>
      flushedAt <= captured && (invalidatedAt[placeOf(id)] as number) <= captured,
    drop,
    dropTag,
    add: (listener: Listener) => void listeners.add(listener),
    async close() {
      stopHearingGaps?.()
      delivery.stop()
      const unsubscribe = await subscription?.catch(() => undefined)
      isSubscribed = false
      delivery.stop()
      forget()
      await unsubscribe?.()
    },
  }
}

/** FNV-1a over the id's characters. */
function placeOf(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % PLACES
}
