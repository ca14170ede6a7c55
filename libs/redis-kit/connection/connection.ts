/**
 * Connections to Redis: one server, Sentinel or Cluster, chosen by the URL (target.ts), configured by role (profiles.ts), and
 * guarded by a gate (gate.ts) that makes each command's fate known within its deadline.
 *
 *     const redis = connectRedis(config.REDIS_STATE_URL, { name: 'order' })
 *     await redis.hgetall(key)         // ioredis' own API; errors.ts says how it may fail
 *     await closeRedis(redis)
 */
import { Cluster, Command, Redis as Server } from 'ioredis'
import { RedisUnavailable } from '../errors.ts'
import { untilEvent } from '../flow/until-event.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { type OnStateChange, type Watch, watchConnection } from './connection-state.ts'
import { type Gate, installGate } from './gate.ts'
import { clusterOptions, type Profile, sentinelOptions, serverOptions, type Tls } from './profiles.ts'
import { refusalOf } from './sharing.ts'
import { parseTarget, type Target } from './target.ts'
import { boundRedirects } from './topology/redirects.ts'
import { connectBySentinel } from './topology/sentinel.ts'
import { learnSlots } from './topology/slots.ts'

export type Redis = Server | Cluster
export type { ConnectionChange, OnStateChange } from './connection-state.ts'
export { connectSubscriber, type Subscriber, type SubscriberOptions } from './subscriber/subscriber.ts'

export interface RedisOptions {
  /** Who this is, for CLIENT LIST and in error messages: the service and what the connection is for. */
  name: string
  /**
   * `command` is shared by everybody and answers quickly. `blocking` belongs to one loop that lets the server wait
   * (XREADGROUP BLOCK); on it commands wait out an outage up to their deadline, so that the loop does not spin.
   * @default 'command'
   */
  role?: 'command' | 'blocking'
  /** Every command settles within this time, waiting for the connection included. @default 500 */
  commandTimeoutMs?: number
  /** Role `blocking`: the longest BLOCK that is used. Commands settle within this and two seconds. @default 2000 */
  blockMs?: number
  /** Longest pause between two attempts to connect; the pauses are random and grow up to it. @default 2000 */
  reconnectMaxMs?: number
  /** Commands accepted and not settled; more are refused with RedisOverloaded. @default 10000 */
  maxPendingCount?: number
  /** Their arguments together. @default 64 MiB */
  maxPendingBytes?: number
  /** For rediss:// URLs: the authority to trust, and a certificate to show. @default the system's authorities */
  tls?: Tls
  /** Hears why connections fail; the kit reconnects by itself. @default nobody: a command's error carries it as its cause */
  onError?: (error: Error) => void
  /** Called when the connection is made, lost and restored, with the reason; on a Cluster for each node too. @default ignored */
  onStateChange?: OnStateChange
  /**
   * Maps the addresses that a Cluster or Sentinel announces to addresses that this process reaches: port forwarding, proxies.
   * @default `nat` of the URL (target.ts), else as announced
   */
  natMap?: Profile['natMap']
}

const BLOCK_MARGIN_MS = 2000
const CLOSE_TIMEOUT_MS = 1000
const gates = new WeakMap<Redis, Gate>()
const watches = new WeakMap<Redis, Watch>()
const closings = new WeakMap<Redis, Promise<void>>()

/**
 * Starts connecting and returns at once. An unreachable server is no reason to throw: commands wait for it up to their
 * deadline, fail as RedisUnavailable, and once it has been away for that long they fail immediately. It is dialled again for
 * ever, until `closeRedis`. Throws a TypeError for a URL that makes no sense.
 */
export function connectRedis(url: string, options: RedisOptions): Redis {
  const { name, role = 'command', commandTimeoutMs = 500, blockMs = 2000 } = options
  checkNumbers(`connection ${name}`, options, {
    // A silent connection is given up after twice as long.
    commandTimeoutMs: { min: 1, max: MAX_TIMER_MS / 2 },
    blockMs: { min: 1, max: MAX_TIMER_MS - BLOCK_MARGIN_MS },
    reconnectMaxMs: { min: 1, max: MAX_TIMER_MS },
    maxPendingCount: { min: 1, isWhole: true },
    maxPendingBytes: { min: 1 },
  })
  const isBlocking = role === 'blocking'
  const timeoutMs = isBlocking ? blockMs + BLOCK_MARGIN_MS : commandTimeoutMs
  const target = parseTarget(url)
  const redis = connect(target, {
    name,
    // Later than the deadline: one slow command costs its caller an answer, a silent connection costs us the connection.
    silenceMs: isBlocking ? timeoutMs : Math.max(1000, 2 * commandTimeoutMs),
    reconnectMaxMs: options.reconnectMaxMs,
    tls: options.tls,
    natMap: options.natMap ?? target.natMap,
  })
  const gate = installGate(redis, {
    name,
    user: target.username ?? 'default',
    timeoutMs,
    graceMs: isBlocking ? Number.POSITIVE_INFINITY : commandTimeoutMs,
    isBlocking,
    maxPendingCount: options.maxPendingCount ?? 10_000,
    maxPendingBytes: options.maxPendingBytes ?? 64 * 1024 * 1024,
  })
  gates.set(redis, gate)
  const { onStateChange } = options
  if (onStateChange) watches.set(redis, watchConnection(redis, { name, isTls: target.isTls, onStateChange }))
  redis.on('error', options.onError ?? (() => {}))
  // Each caller who waits for it to be ready listens until then: many are no leak.
  redis.setMaxListeners(0)
  // A Cluster's pipelines wait for the first look at the slots, outside of the gate and without a limit of their own.
  if (redis instanceof Cluster) {
    redis.delayUntilReady = (done) => void whenReady(redis, timeoutMs).then(() => done(), done)
    learnSlots(redis)
    boundRedirects(redis, timeoutMs)
    redis.quit = () => Promise.reject(refusalOf(new Command('quit'), 'changes'))
  }
  return redis
}

function connect(target: Target, profile: Profile): Redis {
  if (target.kind === 'cluster') return new Cluster(target.nodes, clusterOptions(target, profile))
  if (target.kind === 'sentinel') return connectBySentinel(sentinelOptions(target, profile))
  return new Server({ ...serverOptions(target, profile), ...target.nodes[0] })
}

/** Resolves once commands can be sent; rejects with RedisUnavailable, caused by the last error, when that takes too long. */
export async function whenReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready' || (await untilEvent(redis, 'ready', timeoutMs))) return
  throw new RedisUnavailable(`not connected within ${timeoutMs} ms`, { cause: gates.get(redis)?.lastError() })
}

/** What is in flight: for a gauge, and for tests. */
export function pendingOn(redis: Redis): { count: number; bytes: number } {
  return gates.get(redis)?.sizes() ?? { count: 0, bytes: 0 }
}

/**
 * Refuses new commands, lets those in flight finish (their deadline bounds that; a blocked read is cut off), and disconnects.
 * May be called twice.
 */
export function closeRedis(redis: Redis): Promise<void> {
  const closing = closings.get(redis) ?? close(redis)
  closings.set(redis, closing)
  return closing
}

async function close(redis: Redis): Promise<void> {
  watches.get(redis)?.stop()
  await gates.get(redis)?.shut()
  if (redis.status === 'end') return
  const ended = untilEvent(redis, 'end', CLOSE_TIMEOUT_MS)
  redis.disconnect()
  // Between two attempts there is no socket whose end could be waited for.
  if (redis.status !== 'reconnecting') await ended
}
