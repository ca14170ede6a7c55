/**
 * The channels of a subscriber, whatever connections carry them: who listens, which the server has confirmed, and when
 * messages may have been missed.
 */
import { within } from '../../flow/deadline.ts'

export type MessageListener = (message: string, channel: string) => void
export interface Gap {
  reason: string
}

export interface Channel {
  readonly name: string
  readonly listeners: Set<MessageListener>
  /** Has the server confirmed it on the connection of now? */
  isConfirmed: boolean
  /** Settles with the first answer of the server, on whatever connection. */
  readonly firstAnswer: PromiseWithResolvers<void>
}

/** What brings a channel to the server, and back after a loss; says how it went by `confirm`, `refuse` and `lose`. */
export interface Carrier {
  add(channel: Channel): void
  remove(channel: Channel): Promise<void>
}

export interface SubscriptionsOptions {
  /** How long `subscribe` waits for the server to confirm. */
  commandTimeoutMs: number
  onError: (error: Error) => void
}

export type Subscriptions = ReturnType<typeof createSubscriptions>

export function createSubscriptions({ commandTimeoutMs, onError }: SubscriptionsOptions) {
  const channels = new Map<string, Channel>()
  const gaps = createGaps(guarded)
  /** Messages on these were missed, or may be by now. With the last of them back, the gap is over. */
  const missing = new Set<Channel>()
  let confirmedCount = 0

  async function subscribe(carrier: Carrier, name: string, listener: MessageListener): Promise<() => Promise<void>> {
    const channel = channels.get(name) ?? open(carrier, name)
    channel.listeners.add(listener)
    const leave = () => unsubscribe(carrier, channel, listener)
    try {
      const isInTime = channel.isConfirmed || (await isAnswered(channel, commandTimeoutMs))
      // Looked at after the wait: a channel that was confirmed meanwhile is not missing, and nothing would find it.
      if (!isInTime && !channel.isConfirmed && channels.get(name) === channel) missing.add(channel)
    } catch (refusal) {
      await leave()
      throw refusal
    }
    return leave
  }
  function open(carrier: Carrier, name: string): Channel {
    const firstAnswer = Promise.withResolvers<void>()
    firstAnswer.promise.catch(() => {}) // whoever waits for it hears of it; nobody may be waiting any more
    const channel: Channel = { name, listeners: new Set(), isConfirmed: false, firstAnswer }
    channels.set(name, channel)
    carrier.add(channel)
    return channel
  }
  /** The channel is left with its last listener; a channel that was opened anew meanwhile is not ours to leave. */
  async function unsubscribe(carrier: Carrier, channel: Channel, listener: MessageListener): Promise<void> {
    channel.listeners.delete(listener)
    if (channel.listeners.size > 0 || channels.get(channel.name) !== channel) return
    channels.delete(channel.name)
    if (channel.isConfirmed) confirmedCount--
    found(channel)
    await carrier.remove(channel)
  }

  function confirm(channel: Channel): void {
    if (channel.isConfirmed || channels.get(channel.name) !== channel) return
    channel.isConfirmed = true
    confirmedCount++
    channel.firstAnswer.resolve()
    found(channel)
  }
  /** By the server, for want of a right: nothing that time heals, so whoever asked for it is told. */
  function refuse(channel: Channel, error: Error): void {
    channel.firstAnswer.reject(error)
    onError(error)
    found(channel)
  }
  /** Only the loss of something that worked is news, and it is told once until the gap is over. */
  function lose(lost: Iterable<Channel>, reason: string): void {
    let hadSome = false
    for (const channel of lost) {
      if (!channel.isConfirmed) continue
      hadSome = true
      channel.isConfirmed = false
      confirmedCount--
      missing.add(channel)
    }
    if (hadSome) gaps.open(reason)
  }
  function found(channel: Channel): void {
    if (!missing.delete(channel) || missing.size > 0) return
    gaps.end(confirmedCount > 0)
  }

  function deliver(name: string, message: string): void {
    for (const listener of channels.get(name)?.listeners ?? []) guarded(() => listener(message, name))
  }
  /** One listener that throws must not keep a message from the others, nor end the connection. */
  function guarded(call: () => void): void {
    try {
      call()
    } catch (error) {
      onError(error instanceof Error ? error : new Error(String(error)))
    }
  }
  return {
    subscribe,
    onGap: gaps.listen,
    confirm,
    refuse,
    lose,
    deliver,
    find: (name: string) => channels.get(name),
    isComplete: () => confirmedCount === channels.size,
    close: gaps.close,
  }
}

/** A gap is told twice: when it opens, and when everything that was missing is back. What is lost in between belongs to it. */
function createGaps(guarded: (call: () => void) => void) {
  const listeners = new Set<(gap: Gap) => void>()
  let isOpen = false

  function announce(reason: string): void {
    for (const listener of listeners) guarded(() => listener({ reason }))
  }
  return {
    listen(listener: (gap: Gap) => void): () => void {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    open(reason: string): void {
      if (isOpen) return
      isOpen = true
      announce(reason)
    },
    /** Nobody needs to hear of it when nothing is subscribed any more. */
    end(isNews: boolean): void {
      isOpen = false
      if (isNews) announce('subscribed again')
    },
    close: () => listeners.clear(),
  }
}

/** False when that takes longer. Rejects when the server refuses the channel in time. */
function isAnswered({ firstAnswer }: Channel, timeoutMs: number): Promise<boolean> {
  return within(
    firstAnswer.promise.then(() => true),
    timeoutMs,
    () => false,
  )
}
