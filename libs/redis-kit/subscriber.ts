/**
 * Pub/sub on a connection of its own. Redis delivers a message to whoever is connected at that moment and forgets it, so a
 * subscriber that was away has missed something, and must be told: that is the gap. Whoever keeps a copy of what is
 * announced (a local cache, a list of instances) drops or reloads it then.
 *
 *     const subscriber = connectSubscriber(config.REDIS_CACHE_URL, { name: 'catalog' })
 *     await subscriber.subscribe('catalog:invalidate', (sku) => local.delete(sku))
 *     subscriber.onGap(() => local.clear())
 */
import { ReplyError, Redis as Server } from 'ioredis'
import { guardExit } from './exit.ts'
import { type Profile, reconnectDelayMs, sentinelOptions, serverOptions, type Tls } from './profiles.ts'
import { parseTarget, type Target } from './target.ts'
import { untilEvent } from './until-event.ts'

export type MessageListener = (message: string, channel: string) => void
export interface Gap {
  reason: string
}

export interface SubscriberOptions {
  name: string
  tls?: Tls
  /** Hears why the connection failed, and what a listener threw. @default nobody */
  onError?: (error: Error) => void
  /** How long `subscribe` waits for the server to confirm. @default 500 */
  commandTimeoutMs?: number
  natMap?: Profile['natMap']
}

export interface Subscriber {
  /**
   * Registers the listener, for good: it survives reconnects. Resolves when the server has confirmed, or after
   * `commandTimeoutMs` without a connection; then a gap is announced once it is confirmed. Rejects with the server's reply
   * when it refuses (ACL). The result unsubscribes.
   */
  subscribe(channel: string, listener: MessageListener): Promise<() => Promise<void>>
  /** Fires when messages may have been missed: when the connection is lost, and again when every channel is subscribed anew. */
  onGap(listener: (gap: Gap) => void): () => void
  /** Is every channel subscribed, and was the server heard within the last three seconds? */
  isHealthy(): boolean
  close(): Promise<void>
}

const HEARTBEAT_MS = 1000
/** A PING every second and this long for the answer: a silent connection is found out within 2.5 seconds. */
const SILENCE_MS = 1500
const CLOSE_TIMEOUT_MS = 1000

interface Channel {
  name: string
  listeners: Set<MessageListener>
  /** Has the server confirmed it on the connection of now? */
  isConfirmed: boolean
  /** Settles with the first answer of the server, on whatever connection. */
  firstAnswer: PromiseWithResolvers<void>
}

interface State {
  redis: Server
  channels: Map<string, Channel>
  gapListeners: Set<(gap: Gap) => void>
  /** Messages were missed, and the listeners have not yet heard that this is over. */
  hasGap: boolean
  heardMs: number
  onError: (error: Error) => void
}

export function connectSubscriber(url: string, options: SubscriberOptions): Subscriber {
  const { commandTimeoutMs = 500, onError = () => {} } = options
  const redis = connect(parseTarget(url), { ...options, silenceMs: SILENCE_MS })
  const state: State = { redis, channels: new Map(), gapListeners: new Set(), hasGap: false, heardMs: 0, onError }
  guardExit(redis)
  redis.on('error', onError)
  redis.on('message', (channel, message) => deliver(state, channel, message))
  redis.on('ready', () => void subscribeAll(state))
  redis.on('close', () => lose(state))
  const heartbeat = setInterval(beat, HEARTBEAT_MS, state).unref()

  async function subscribe(name: string, listener: MessageListener): Promise<() => Promise<void>> {
    const channel = state.channels.get(name) ?? open(state, name)
    channel.listeners.add(listener)
    const leave = () => unsubscribe(state, channel, listener)
    try {
      if (!(await settlesWithin(channel.firstAnswer.promise, commandTimeoutMs))) state.hasGap = true
    } catch (refusal) {
      await leave()
      throw refusal
    }
    return leave
  }
  async function close(): Promise<void> {
    clearInterval(heartbeat)
    state.gapListeners.clear()
    if (redis.status === 'end') return
    const ended = untilEvent(redis, 'end', CLOSE_TIMEOUT_MS)
    redis.disconnect()
    if (redis.status !== 'reconnecting') await ended
  }
  return {
    subscribe,
    onGap: (listener) => {
      state.gapListeners.add(listener)
      return () => void state.gapListeners.delete(listener)
    },
    isHealthy: () => isHealthy(state),
    close,
  }
}

/**
 * A Cluster passes each message on to all of its nodes, so any of them will do: the next one at each attempt. (ioredis'
 * Cluster subscriber changes nodes without a word, and a gap that is not announced is a stale cache.)
 */
function connect(target: Target, profile: Profile): Server {
  if (target.kind === 'sentinel') return new Server(sentinelOptions(target, profile))
  let turn = 0
  const redis = new Server({
    ...serverOptions(target, profile),
    ...target.nodes[0],
    retryStrategy: (attempt) => {
      Object.assign(redis.options, target.nodes[++turn % target.nodes.length])
      return reconnectDelayMs(attempt)
    },
  })
  return redis
}

function open(state: State, name: string): Channel {
  const channel: Channel = {
    name,
    listeners: new Set(),
    isConfirmed: false,
    firstAnswer: Promise.withResolvers<void>(),
  }
  channel.firstAnswer.promise.catch(() => {}) // whoever waits for it hears of it; nobody may be waiting any more
  state.channels.set(name, channel)
  if (state.redis.status === 'ready') void ask(state, channel)
  return channel
}

/** Never rejects: a lost connection asks again when it is back, and a refusal goes to whoever subscribed. */
async function ask({ redis, onError }: State, channel: Channel): Promise<void> {
  try {
    await redis.subscribe(channel.name)
    channel.isConfirmed = true
    channel.firstAnswer.resolve()
  } catch (error) {
    if (!(error instanceof ReplyError)) return
    channel.firstAnswer.reject(error)
    onError(error as Error)
  }
}

/** ioredis says `ready` before a single channel is subscribed, so the gap ends here, after the last confirmation. */
async function subscribeAll(state: State): Promise<void> {
  state.heardMs = performance.now()
  const channels = [...state.channels.values()]
  await Promise.all(channels.map((channel) => ask(state, channel)))
  if (!state.hasGap || !channels.some(({ isConfirmed }) => isConfirmed)) return
  state.hasGap = false
  announce(state, { reason: 'subscribed again' })
}

/** Fires for every attempt that fails as well, but only the loss of something that worked is news. */
function lose(state: State): void {
  const channels = [...state.channels.values()]
  const hadSome = channels.some(({ isConfirmed }) => isConfirmed)
  for (const channel of channels) channel.isConfirmed = false
  if (!hadSome) return
  state.hasGap = true
  announce(state, { reason: 'the connection was lost' })
}

/** The channel is left with its last listener; a channel that was opened anew meanwhile is not ours to leave. */
async function unsubscribe({ redis, channels }: State, channel: Channel, listener: MessageListener): Promise<void> {
  channel.listeners.delete(listener)
  if (channel.listeners.size > 0 || channels.get(channel.name) !== channel) return
  channels.delete(channel.name)
  if (redis.status === 'ready') await redis.unsubscribe(channel.name).catch(() => {}) // gone with the connection
}

/** Only to find out whether the other side still exists: `socketTimeout` acts when an answer is due, and pub/sub owes none. */
function beat(state: State): void {
  if (state.redis.status !== 'ready') return
  const onAnswer = () => {
    state.heardMs = performance.now()
  }
  state.redis.ping().then(onAnswer, () => {}) // its failure closes the connection, which is heard of there
}

/** The time matters for the seconds in which a dead connection has not been found out yet. */
function isHealthy({ redis, channels, heardMs }: State): boolean {
  if (redis.status !== 'ready' || performance.now() - heardMs > HEARTBEAT_MS + SILENCE_MS) return false
  return [...channels.values()].every(({ isConfirmed }) => isConfirmed)
}

function deliver(state: State, name: string, message: string): void {
  state.heardMs = performance.now()
  for (const listener of state.channels.get(name)?.listeners ?? []) guarded(state, () => listener(message, name))
}

function announce(state: State, gap: Gap): void {
  for (const listener of state.gapListeners) guarded(state, () => listener(gap))
}

/** One listener that throws must not keep a message from the others, nor end the connection. */
function guarded({ onError }: State, call: () => void): void {
  try {
    call()
  } catch (error) {
    onError(error instanceof Error ? error : new Error(String(error)))
  }
}

/** False when it takes longer; a rejection in time is passed on. */
async function settlesWithin(promise: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false)
  })
  return await Promise.race([promise.then(() => true), late]).finally(() => clearTimeout(timer))
}
