/**
 * Who listens to which channel in this process. The first listener of a channel subscribes it in Redis and the last one to
 * leave unsubscribes it; a message is decoded once, however many hear it.
 */
import type { MessageListener } from '../connection/subscriber/subscriber.ts'

/** Called for each message in the order of its channel. All listeners are given the same object: it is not theirs to change. */
export type Listener<Message> = (message: Message, id: string) => void

export interface ListenersOptions<Message> {
  subscribe(channel: string, listener: MessageListener): Promise<() => Promise<void>>
  /** Undefined for what is no message. */
  decode(text: string, channel: string): { message: Message } | undefined
  onError(error: unknown): void
}

/** Everybody here who listens to one channel. */
interface Audience<Message> {
  /** In the order of their coming. Wrapped: the same function may listen twice. */
  members: Set<{ hear: Listener<Message> }>
  /** Settles with the subscription in Redis; the result ends it. */
  subscribed: Promise<() => Promise<void>>
}

export function createListeners<Message>({ subscribe, decode, onError }: ListenersOptions<Message>) {
  const audiences = new Map<string, Audience<Message>>()
  let listenerCount = 0

  async function add(channel: string, id: string, hear: Listener<Message>): Promise<() => Promise<void>> {
    const audience = audiences.get(channel) ?? open(channel, id)
    const member = { hear }
    audience.members.add(member)
    listenerCount++
    const leave = () => remove(channel, audience, member)
    try {
      await audience.subscribed
    } catch (refusal) {
      await leave()
      throw refusal
    }
    return leave
  }
  function open(channel: string, id: string): Audience<Message> {
    const members: Audience<Message>['members'] = new Set()
    const subscribed = subscribe(channel, (text) => deliver(members, id, decode(text, channel)))
    const audience = { members, subscribed }
    audiences.set(channel, audience)
    return audience
  }
  function deliver(members: Audience<Message>['members'], id: string, decoded: { message: Message } | undefined): void {
    if (!decoded) return
    for (const { hear } of members) {
      try {
        hear(decoded.message, id)
      } catch (error) {
        onError(error) // and on to the next: it is not their fault
      }
    }
  }
  /** A channel that is opened again before Redis was told to leave it is another audience, and stays subscribed. */
  async function remove(channel: string, audience: Audience<Message>, member: { hear: Listener<Message> }) {
    if (!audience.members.delete(member)) return
    listenerCount--
    if (audience.members.size > 0 || audiences.get(channel) !== audience) return
    audiences.delete(channel)
    const leave = await audience.subscribed.catch(() => undefined) // refused: there is nothing to leave
    await leave?.()
  }

  return { add, counts: () => ({ listenerCount, idCount: audiences.size }) }
}
