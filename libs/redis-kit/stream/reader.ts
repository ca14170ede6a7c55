/**
 * Reading a topic: one async iterator over all partitions.
 *
 * Per partition runs one loop (partition-loop.ts) with a blocking connection of its own. It blocks on XREAD, which only rings
 * the doorbell; what is then handed out is decided by one script, when a consumer asks, so a lost connection, a timeout or a
 * stop can never leave a message delivered to nobody. Ownership (ownership.ts) is kept alive while handlers work.
 */
import type { Redis } from '../connection/connection.ts'
import type { Pulse } from '../flow/pulse.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { type Batch, toBatch } from './batch.ts'
import { createHandOut, type HandOut } from './hand-out.ts'
import { MAX_IDLE_MS } from './limits.ts'
import type { Message } from './message.ts'
import { createOwnership } from './ownership.ts'
import { createPartition, type Partition } from './partition.ts'
import { runPartition } from './partition-loop.ts'
import type { TopicKeys } from './stream.ts'

export interface ReadOptions {
  /** Each group gets every event once; the consumers of a group share them. Usually the service's name. */
  group: string
  /** Who we are within the group: unique among the living. The instance id. */
  consumer: string
  /** Makes a connection of role 'blocking'; called once per partition, closed when the reader stops. */
  connect: () => Redis
  /** Ends the loop: what is in hand may still be acked, nothing more is handed out. */
  signal: AbortSignal
  /** How often a message is handed out before it becomes a dead letter. @default 5 */
  maxDeliveries?: number
  /** A consumer that was silent for so long is taken to be dead. Handlers may take longer: they are kept alive. @default 15_000 */
  minIdleMs?: number
  /**
   * Messages in hand at once, per partition. 1: strictly in order, retries included, and one consumer per partition.
   * More: in any order, and every consumer reads every partition.
   * @default 1
   */
  concurrency?: number
  /** A handler that takes longer is given up on: its message is failed and comes again. @default 600_000 */
  maxHoldMs?: number
  /** First and longest step of the backoff between the deliveries of one message. @default 500 and 30_000 */
  retryBaseMs?: number
  retryCapMs?: number
  /** Is this error an outage of something the handler needs? Then the delivery does not count. @default never */
  isOutage?: (error: unknown) => boolean
  /** Dead letters kept per partition; beyond it the oldest are dropped. @default 10_000 */
  maxDeadLettersCount?: number
  /** How long one blocking read may take; not longer than the connection's. @default 2000 */
  blockMs?: number
  /** Hears what is out of the ordinary, for metrics. */
  observe?: (fact: ObservedFact) => void
  /** Hears of each round of each partition whether it worked, outages included; and of the beat. @default nobody */
  pulse?: Pulse
  /** Gets the same as warnings. A pino logger fits. */
  log?: { warn(fields: object, text: string): void }
}

/** Any order, and several messages at once: for work that is cheaper by the dozen, such as counting or inserting. */
export interface ReadBatchesOptions extends Omit<ReadOptions, 'concurrency'> {
  /** Messages handed out together at most, all of one partition. Nobody waits until there are so many. @default 100 */
  batchCount?: number
}

export type StreamFact =
  | { fact: 'retry'; id: string; deliveryCount: number; delayMs: number; reason: string }
  | { fact: 'dead-letter'; id: string; deliveryCount: number; reason: string }
  | { fact: 'dead-letters-dropped'; count: number }
  /** Messages of a consumer that fell silent. */
  | { fact: 'taken-over'; count: number }
  /** Pending messages whose entries were trimmed or deleted: they can only come again from their source. */
  | { fact: 'lost'; count: number }
  /** What we are working on was taken over by another. */
  | { fact: 'ownership-lost'; count: number }
  /** The stream or the group was gone (a flush, a failover) and starts anew: replay from the source. */
  | { fact: 'group-lost' }
  | { fact: 'interrupted'; reason: string }

const logLines: Record<StreamFact['fact'], string> = {
  retry: 'message retry scheduled',
  'dead-letter': 'message dead-lettered',
  'dead-letters-dropped': 'dead letters dropped',
  'taken-over': 'messages taken over',
  lost: 'messages lost',
  'ownership-lost': 'message ownership lost',
  'group-lost': 'consumer group lost',
  interrupted: 'partition read interrupted',
}

export type ObservedFact = StreamFact & { topic: string; group: string; partition: number }

export interface Settings extends Required<Omit<ReadOptions, 'signal' | 'observe' | 'log'>> {
  isOrdered: boolean
  isBatched: boolean
  observe: (fact: ObservedFact) => void
  onSettled: (partition: Partition) => void
}

export function readTopic(redis: Redis, keys: TopicKeys, options: ReadOptions): AsyncIterableIterator<Message> {
  const handOut = createHandOut<Message>()
  return read(redis, keys, settingsOf(options, false), options.signal, handOut, (messages) => {
    for (const message of messages) handOut.give(message)
  })
}

export function readTopicInBatches(
  redis: Redis,
  keys: TopicKeys,
  { batchCount = 100, ...options }: ReadBatchesOptions,
): AsyncIterableIterator<Batch> {
  const handOut = createHandOut<Batch>()
  const settings = settingsOf({ ...options, concurrency: batchCount }, true)
  return read(redis, keys, settings, options.signal, handOut, (messages) => handOut.give(toBatch(messages)))
}

/** @param give hands out what one fetch has brought: one message or more */
function read<Item>(
  redis: Redis,
  keys: TopicKeys,
  settings: Settings,
  signal: AbortSignal,
  handOut: HandOut<Item>,
  give: (messages: Message[]) => void,
): AsyncIterableIterator<Item> {
  const stopping = new AbortController()
  const partitions = Array.from({ length: keys.partitions }, (_, index) =>
    createPartition(index, redis, keys, settings, stopping.signal),
  )
  const ownership = createOwnership(redis, keys, settings, partitions)
  settings.onSettled = ownership.onSettled
  let running: Promise<void> | undefined

  const onAbort = () => stop()
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) stop()

  const iterator: AsyncIterableIterator<Item> = { next, return: close, [Symbol.asyncIterator]: () => iterator }
  return iterator

  /** The next one, whichever partition has it. May be asked several times at once, by several workers. */
  function next(): Promise<IteratorResult<Item, undefined>> {
    if (!stopping.signal.aborted) running ??= run()
    return handOut.next()
  }

  /** Called by a `break` or a throw in the consumer's loop. What it had in hand comes again, here or elsewhere. */
  async function close(): Promise<IteratorResult<Item, undefined>> {
    stop()
    await running
    return { value: undefined, done: true }
  }

  async function run(): Promise<void> {
    const heartbeat = ownership.run(stopping.signal).catch(stop)
    await Promise.all(partitions.map((partition) => runPartition(partition, handOut, give).catch(stop)))
    await heartbeat
    await ownership.leave()
    signal.removeEventListener('abort', onAbort)
  }

  function stop(error?: unknown): void {
    stopping.abort()
    handOut.close(running, error)
  }
}

function settingsOf(options: ReadOptions, isBatched: boolean): Settings {
  const { concurrency = 1, minIdleMs = 15_000, observe, log } = options
  const [count, timer] = [
    { min: 1, isWhole: true },
    { min: 1, max: MAX_TIMER_MS },
  ]
  checkNumbers(`reader ${options.group}`, options, {
    maxDeliveries: count,
    minIdleMs: { min: 1, max: MAX_IDLE_MS },
    concurrency: count,
    maxHoldMs: timer,
    retryBaseMs: { ...timer, min: 0 },
    retryCapMs: { ...timer, min: 0 },
    maxDeadLettersCount: count,
    blockMs: timer,
  })
  return {
    maxDeliveries: 5,
    maxHoldMs: 600_000,
    retryBaseMs: 500,
    retryCapMs: 30_000,
    isOutage: () => false,
    pulse: { ok: () => undefined, failed: () => undefined },
    maxDeadLettersCount: 10_000,
    blockMs: 2000,
    ...withoutUndefined(options),
    concurrency,
    minIdleMs,
    isOrdered: concurrency === 1 && !isBatched,
    isBatched,
    onSettled: () => undefined,
    observe(fact) {
      observe?.(fact)
      log?.warn(fact, logLines[fact.fact])
    },
  }
}

function withoutUndefined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options
}
