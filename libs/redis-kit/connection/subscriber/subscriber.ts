/**
 * Pub/sub on connections of its own. Redis delivers a message to whoever is connected at that moment and forgets it, so a
 * subscriber that was away has missed something, and must be told: that is the gap. Whoever keeps a copy of what is
 * announced (a local cache, a list of instances) drops or reloads it then.
 *
 *     const subscriber = connectSubscriber(config.REDIS_CACHE_URL, { name: 'catalog' })
 *     await subscriber.subscribe('catalog:invalidate', (sku) => local.delete(sku))
 *     subscriber.onGap(() => local.clear())
 */
import { Redis as Server } from 'ioredis'
import { checkNumbers, MAX_TIMER_MS } from '../../number-options.ts'
import type { OnStateChange, WatchOptions } from '../connection-state.ts'
import { type Profile, reconnectDelayMs, sentinelOptions, serverOptions, type Tls } from '../profiles.ts'
import { parseTarget, type Target } from '../target.ts'
import { createKnownNodes, type KnownNodes, splitAddress } from '../topology/known-nodes.ts'
import { connectBySentinel } from '../topology/sentinel.ts'
import { createShardedLinks } from './sharded-subscriber.ts'
import { createLink, SILENCE_MS } from './subscriber-link.ts'
import { createSubscriptions, type Gap, type MessageListener } from './subscriptions.ts'

export type { Gap, MessageListener } from './subscriptions.ts'

export interface SubscriberOptions {
  name: string
  tls?: Tls
  /** Hears why the connection failed, and what a listener threw. @default nobody */
  onError?: (error: Error) => void
  /** How long `subscribe` waits for the server to confirm. @default 500 */
  commandTimeoutMs?: number
  natMap?: Profile['natMap']
  /** Called when a connection is made, lost and restored, with the reason. @default ignored */
  onStateChange?: OnStateChange
}

export interface Channels {
  /**
   * Registers the listener, for good: it survives reconnects. Resolves when the server has confirmed, or after
   * `commandTimeoutMs` without that; then a gap is announced once it is confirmed. Rejects with the server's reply
   * when it refuses (ACL). The result unsubscribes.
   */
  subscribe(channel: string, listener: MessageListener): Promise<() => Promise<void>>
  /** Fires when messages may have been missed: when a connection is lost, and again when every channel is subscribed anew. */
  onGap(listener: (gap: Gap) => void): () => void
  /** Is every channel subscribed, and was the server heard within the last three seconds? */
  isHealthy(): boolean
}

export interface Subscriber extends Channels {
  /** The same for channels that are published to with SPUBLISH, each on the shard of its name. Only on a Cluster. */
  readonly sharded?: Channels
  close(): Promise<void>
}

export function connectSubscriber(url: string, options: SubscriberOptions): Subscriber {
  const { commandTimeoutMs = 500, onError = () => {} } = options
  checkNumbers(`subscriber ${options.name}`, options, { commandTimeoutMs: { min: 1, max: MAX_TIMER_MS } })
  const target = parseTarget(url)
  const profile: Profile = { ...options, natMap: options.natMap ?? target.natMap, silenceMs: SILENCE_MS }
  const { name, onStateChange } = options
  const watched = onStateChange && { name, isTls: target.isTls, onStateChange }
  const subscriptions = createSubscriptions({ commandTimeoutMs, onError })
  const nodes = createKnownNodes(target, profile.natMap)
  const link = createLink(connect(target, profile, nodes), { kind: 'global', subscriptions, onError, watched })
  const sharded =
    target.kind === 'cluster'
      ? connectSharded(target, profile, { nodes, commandTimeoutMs, onError, watched })
      : undefined

  return {
    subscribe: (channel, listener) => subscriptions.subscribe(link, channel, listener),
    onGap: subscriptions.onGap,
    isHealthy: () => link.isAlive() && subscriptions.isComplete(),
    sharded: sharded?.channels,
    close: async () => {
      subscriptions.close()
      await Promise.all([link.close(), sharded?.close()])
    },
  }
}

/**
 * A Cluster passes each message on to all of its nodes, so any of them will do: the next one at each attempt. (ioredis'
 * Cluster subscriber changes nodes without a word, and a gap that is not announced is a stale cache.)
 */
function connect(target: Target, profile: Profile, nodes: KnownNodes): Server {
  if (target.kind === 'sentinel') return connectBySentinel(sentinelOptions(target, profile))
  const redis = new Server({
    ...serverOptions(target, profile),
    ...addressOf(nodes.next()),
    retryStrategy: (attempt) => {
      Object.assign(redis.options, addressOf(nodes.next()))
      return reconnectDelayMs(attempt)
    },
  })
  // Asked before the first channel is, because without RESP3 a subscribed connection may not ask.
  if (target.kind === 'cluster')
    redis.on('ready', () => void nodes.learn(redis, `${redis.options.host}:${redis.options.port}`))
  return redis
}

function addressOf(node: string): { host: string; port: number } {
  const [host, port] = splitAddress(node)
  return { host, port }
}

/** Connects when there is something to subscribe, and to the nodes that have it. */
function connectSharded(
  target: Target,
  profile: Profile,
  options: { nodes: KnownNodes; commandTimeoutMs: number; onError: (error: Error) => void; watched?: WatchOptions },
): { channels: Channels; close(): Promise<void> } {
  const subscriptions = createSubscriptions(options)
  const links = createShardedLinks({ ...options, target, profile, subscriptions })
  const channels: Channels = {
    subscribe: (channel, listener) => subscriptions.subscribe(links.carrier, channel, listener),
    onGap: subscriptions.onGap,
    isHealthy: () => links.isAlive() && subscriptions.isComplete(),
  }
  const close = async () => {
    subscriptions.close()
    await links.close()
  }
  return { channels, close }
}
