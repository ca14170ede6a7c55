/** One connection of a subscriber and the channels that it carries: asked for whenever the connection is new, and kept alive. */
import { Command, ReplyError, type Redis as Server } from 'ioredis'
import { untilEvent } from '../../flow/until-event.ts'
import { type WatchOptions, watchConnection } from '../connection-state.ts'
import { guardExit } from '../exit.ts'
import { explainRefusal } from '../server/permission.ts'
import type { Channel, Subscriptions } from './subscriptions.ts'

const HEARTBEAT_MS = 1000
/** A PING every second and this long for the answer: a silent connection is found out within 2.5 seconds. */
export const SILENCE_MS = 1500
const CLOSE_TIMEOUT_MS = 1000

export interface LinkOptions {
  /** SUBSCRIBE or SSUBSCRIBE. One of them per connection: Redis counts them apart, and ioredis does not. */
  kind: 'global' | 'sharded'
  subscriptions: Subscriptions
  onError: (error: Error) => void
  /** The server's error reply to a subscription. @default the subscription is refused */
  onRefused?: (channel: Channel, error: Error) => void
  /** Asked before a channel is subscribed. @default always */
  maySubscribe?: (channel: Channel) => Promise<boolean>
  /** Reports the changes of the connection's state. @default none are reported */
  watched?: WatchOptions
  /** After each connection that ended and each attempt that failed. */
  onClosed?: () => void
  /** After each sign of life, once a second. */
  onBeat?: () => void
}

export type Link = ReturnType<typeof createLink>

const COMMANDS = {
  global: { subscribe: 'subscribe', unsubscribe: 'unsubscribe', message: 'message' },
  sharded: { subscribe: 'ssubscribe', unsubscribe: 'sunsubscribe', message: 'smessage' },
} as const

export function createLink(redis: Server, { kind, subscriptions, onError, ...events }: LinkOptions) {
  const commands = COMMANDS[kind]
  const { onRefused = subscriptions.refuse, maySubscribe, onClosed, onBeat, watched } = events
  const watch = watched && watchConnection(redis, watched)
  const channels = new Set<Channel>()
  let heardMs = 0
  guardExit(redis)
  redis.on('error', onError)
  redis.on(commands.message, deliver)
  // ioredis says `ready` before a single channel is subscribed.
  redis.on('ready', () => {
    heardMs = performance.now()
    for (const channel of channels) void ask(channel)
  })
  redis.on('close', () => {
    subscriptions.lose(channels, 'the connection was lost')
    onClosed?.()
  })
  const heartbeat = setInterval(beat, HEARTBEAT_MS).unref()

  function add(channel: Channel): void {
    channels.add(channel)
    if (redis.status === 'ready') void ask(channel)
  }
  /** Never rejects: a lost connection asks again when it is back, and a refusal goes to whoever subscribed. */
  async function ask(channel: Channel): Promise<void> {
    try {
      if (maySubscribe && !(await maySubscribe(channel))) return
      if (!channels.has(channel)) return // removed, or sent to another node, during the wait
      await redis[commands.subscribe](channel.name)
      if (channels.has(channel)) subscriptions.confirm(channel)
    } catch (error) {
      if (!(error instanceof ReplyError) || !channels.has(channel)) return
      const command = new Command(commands.subscribe, [channel.name])
      onRefused(channel, explainRefusal(error as Error, command, redis.options.username ?? 'default'))
    }
  }
  async function remove(channel: Channel): Promise<void> {
    channels.delete(channel)
    if (redis.status === 'ready') await redis[commands.unsubscribe](channel.name).catch(() => {}) // gone with the connection
  }
  function deliver(name: string, message: string): void {
    heardMs = performance.now()
    const channel = subscriptions.find(name)
    if (channel && channels.has(channel)) subscriptions.deliver(name, message)
  }
  /** Only to find out whether the other side still exists: `socketTimeout` acts when an answer is due, and pub/sub owes none. */
  function beat(): void {
    if (redis.status !== 'ready') return
    const onAnswer = () => {
      heardMs = performance.now()
      onBeat?.()
    }
    // An error reply is an answer too; a lost connection emits `close`.
    redis.ping().then(onAnswer, (error) => error instanceof ReplyError && onAnswer())
  }
  /** The time matters for the seconds in which a dead connection has not been found out yet. */
  function isAlive(): boolean {
    return redis.status === 'ready' && performance.now() - heardMs <= HEARTBEAT_MS + SILENCE_MS
  }
  async function close(): Promise<void> {
    clearInterval(heartbeat)
    watch?.stop()
    if (redis.status === 'end') return
    const ended = untilEvent(redis, 'end', CLOSE_TIMEOUT_MS)
    redis.disconnect()
    if (redis.status !== 'reconnecting') await ended
  }
  return {
    redis,
    channels,
    add,
    ask,
    remove,
    /** Takes the channel off without a word to the server, which does not have it. */
    release: (channel: Channel) => channels.delete(channel),
    isReady: () => redis.status === 'ready',
    isAlive,
    close,
  }
}
