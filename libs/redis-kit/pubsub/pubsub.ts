/**
 * Live hints: typed messages to whoever is listening at this moment, and to nobody else. Redis keeps none of them, so a
 * message may change when something is looked at, and never what is true: the truth is asked for again after a gap.
 *
 * One Redis channel per id, and one Redis subscription per id and process, however many listen to it here.
 */
import type { Redis, Subscriber } from '../connection/connection.ts'
import type { Gap } from '../connection/subscriber/subscriber.ts'
import { RedisOverloaded } from '../errors.ts'
import { type KeyFamily, keyFamily } from '../keys.ts'
import { checkNumbers } from '../number-options.ts'
import { createListeners, type Listener } from './listeners.ts'

export type { Gap } from '../connection/subscriber/subscriber.ts'
export type { Listener } from './listeners.ts'

export interface ChannelKeyOptions {
  /** Other services that may publish and subscribe: Redis' rights know no difference between the two. @default nobody */
  sharedWith?: KeyFamily['sharedWith']
  /** Which server it is on. @default 'state' */
  role?: KeyFamily['role']
}

/** `order:status:{<id>}`. The braces give each id a slot of its own for sharded pub/sub on a Cluster. */
export function channelKeys(
  service: string,
  entity: string,
  { sharedWith, role = 'state' }: ChannelKeyOptions = {},
): KeyFamily {
  return keyFamily({
    service,
    pattern: `${service}:${entity}:{<id>}`,
    type: 'channel',
    role,
    ttl: { immortal: 'a channel stores nothing' },
    example: ['8b0c3c1e'],
    sharedWith,
    doc: `a hint about the ${entity} of one id, for those who listen at that moment`,
  })
}

export interface TextCodec<Message> {
  encode(message: Message): string
  /** Throws when the text is not what `encode` made: it comes from another process, perhaps of another release. */
  decode(text: string): Message
}

export interface ChannelOptions<Message> {
  keys: KeyFamily
  /**
   * SPUBLISH and SSUBSCRIBE: a message stays on one shard instead of going to every node. All who publish and subscribe have
   * to agree. @default on a Cluster
   */
  isSharded?: boolean
  /** @default JSON, unchecked */
  codec?: TextCodec<Message>
  /** The largest message, encoded. Every subscribed process gets all of it. @default 8192 */
  maxMessageBytes?: number
  /** How many may listen in this process, over all ids. @default 20_000 */
  maxListenerCount?: number
  /** Hears of messages that could not be decoded and of listeners that threw. @default a warning of the process */
  onError?: (error: unknown) => void
}

export interface Channel<Message> {
  /**
   * Tells whoever listens now. Rejects with MessageTooLarge, and as any command does (errors.ts): RedisUnavailable when nobody
   * was told. Nothing is tried again: whether a lost hint matters, the caller knows.
   */
  publish(id: string, message: Message): Promise<void>
  /**
   * Resolves when every message published from then on will be heard, or without a connection after a moment; then the gap
   * is announced once it is there. So: subscribe first, and look at the truth afterwards. Rejects with RedisOverloaded above
   * `maxListenerCount`, and with the server's reply when it refuses (ACL). The result unsubscribes.
   */
  subscribe(id: string, listener: Listener<Message>): Promise<() => Promise<void>>
  /** Fires when messages may have been missed: on the loss of a connection, and again once everything is subscribed anew. */
  onGap(listener: (gap: Gap) => void): () => void
  /** For gauges: how many listen here, to how many ids, and how many messages could not be decoded so far. */
  stats(): { listenerCount: number; idCount: number; undecodableCount: number }
}

/** Refused before it was sent. A hint that large is a state: store it, and publish that it has changed. */
export class MessageTooLarge extends Error {
  readonly code = 'PUBSUB_MESSAGE_TOO_LARGE'
  override readonly name = 'MessageTooLarge'
}

/** What came over the channel is no message: somebody else's, or another release's. */
export class UndecodableMessage extends Error {
  readonly code = 'PUBSUB_UNDECODABLE'
  override readonly name = 'UndecodableMessage'
}

export function createChannel<Message>(
  redis: Redis,
  subscriber: Subscriber,
  {
    keys,
    isSharded = redis.isCluster,
    codec = jsonCodec<Message>(),
    maxMessageBytes = 8_192,
    maxListenerCount = 20_000,
    onError = (error) => process.emitWarning(error instanceof Error ? error : String(error)),
  }: ChannelOptions<Message>,
): Channel<Message> {
  const whole = { min: 1, isWhole: true }
  const numbers = { maxMessageBytes, maxListenerCount }
  checkNumbers(`channel ${keys.pattern}`, numbers, { maxMessageBytes: whole, maxListenerCount: whole })
  if (keys.type !== 'channel') throw new TypeError(`${keys.pattern} must be a channel, not a ${keys.type}`)
  const channels = isSharded ? subscriber.sharded : subscriber
  // Found out here and not by silence: what is published in one way is never heard by those who subscribed in the other.
  if (!channels) throw new TypeError(`${keys.pattern} is sharded, but the subscriber is not connected to a Cluster`)
  const listeners = createListeners<Message>({ subscribe: channels.subscribe, decode, onError })
  let undecodableCount = 0

  function encode(name: string, message: Message): string {
    const text = codec.encode(message)
    if (typeof text !== 'string') throw new TypeError(`a message for ${name} cannot be encoded`)
    const sizeBytes = Buffer.byteLength(text)
    if (sizeBytes <= maxMessageBytes) return text
    throw new MessageTooLarge(`a message for ${name} has ${sizeBytes} bytes, but the limit is ${maxMessageBytes}`)
  }
  /** Undefined for what is no message: it ends here, and neither the listeners nor the connection hear of it. */
  function decode(text: string, name: string): { message: Message } | undefined {
    try {
      return { message: codec.decode(text) }
    } catch (cause) {
      undecodableCount++
      onError(new UndecodableMessage(`${text.length} characters on ${name} are not a message`, { cause }))
      return undefined
    }
  }
  async function publish(id: string, message: Message): Promise<void> {
    const name = keys.key(id)
    const text = encode(name, message)
    await (isSharded ? redis.spublish(name, text) : redis.publish(name, text))
  }
  async function subscribe(id: string, listener: Listener<Message>): Promise<() => Promise<void>> {
    if (listeners.counts().listenerCount >= maxListenerCount) {
      throw new RedisOverloaded(`${keys.pattern} already has ${maxListenerCount} listeners in this process`)
    }
    return listeners.add(keys.key(id), id, listener)
  }

  return {
    publish,
    subscribe,
    onGap: channels.onGap,
    stats: () => ({ ...listeners.counts(), undecodableCount }),
  }
}

function jsonCodec<Message>(): TextCodec<Message> {
  return { encode: JSON.stringify, decode: (text) => JSON.parse(text) as Message }
}
