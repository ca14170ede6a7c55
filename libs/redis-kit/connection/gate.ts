/**
 * The gate stands in front of ioredis and decides, for each command, whether it goes out now, waits a moment, or fails; and
 * when it fails, as what. Three promises:
 *
 *  1. Every command settles within its deadline.
 *  2. What was reported as RedisUnavailable is never executed later.
 *  3. A command that is not a read is never sent twice. When its answer is lost it fails as OutcomeUnknown.
 *
 * It works in two places: here, at the entrance, which every command of every caller passes (pipelines included), and at the
 * exit of each connection (exit.ts).
 */
import { type Cluster, type Command, type Redis as Node, ReplyError } from 'ioredis'
import { isRedisOutage, OutcomeUnknown, RedisOverloaded, RedisUnavailable, replyWord } from '../errors.ts'
import { about } from '../flow/jitter.ts'
import { effectOf } from './effect.ts'
import { guardExit } from './exit.ts'
import { createLanes, type Lane, type Lanes } from './lanes.ts'
import { type Batch, type ClusterRoute, createPendingSet, type Pending, type PendingSet } from './pending.ts'
import { saysNothing } from './server/diagnosis.ts'
import { isHandshake } from './server/handshake.ts'
import { explainRefusal } from './server/permission.ts'
import { harmOf, isBlocking, refusalOf } from './sharing.ts'
import { guardPipelines, mistakeInBatch } from './topology/pipelines.ts'

export interface GateOptions {
  name: string
  /** The Redis user that the connection logs in as. */
  user: string
  /** Every command settles within this time. */
  timeoutMs: number
  /** Once Redis has been away for so long, commands fail at once instead of waiting. */
  graceMs: number
  /** Is this connection for commands that block, such as XREADGROUP BLOCK? */
  isBlocking: boolean
  maxPendingCount: number
  maxPendingBytes: number
}

export interface Gate {
  sizes(): { count: number; bytes: number }
  /** From now on everything is refused. Resolves when what was in flight has settled; a blocked read is not waited for. */
  shut(): Promise<void>
  /** Why there is no connection. */
  lastError(): Error | undefined
}

/** One per client. The functions below take it as their first argument, so that each reads by itself. */
interface State {
  options: GateOptions
  pending: PendingSet
  lanes: Lanes
  /** ioredis' own sendCommand. */
  send: (command: Command, batch?: Batch, node?: ClusterRoute) => unknown
  isShut: boolean
  lastError?: Error
  /** When a server first and last refused what only reads: it is there, and cannot serve. */
  refusals: Map<Lane, { firstMs: number; lastMs: number }>
}

/** Before a server that cannot serve now is asked again, on average. */
const ASK_AGAIN_MS = 50
/** A refusal after this long without one begins a new outage; a node that has left is forgotten as well. */
const REFUSAL_MEMORY_MS = 5000

export function installGate(redis: Node | Cluster, options: GateOptions): Gate {
  const state: State = {
    options,
    pending: createPendingSet(options, (record) => expire(state, record)),
    lanes: createLanes(redis, {
      onNode: (node) => guardExit(node, { mistakeIn: (command, batch) => mistakeOnNode(state, node, command, batch) }),
      resubmit: (record) => submit(state, record),
    }),
    send: redis.sendCommand.bind(redis),
    isShut: false,
    refusals: new Map(),
  }
  guardPipelines(redis, (command) => mistakeIn(state, command))
  for (const event of ['error', 'node error']) {
    redis.on(event, (error: Error) => {
      if (!saysNothing(error)) state.lastError = error
    })
  }
  redis.on('ready', () => delete state.lastError)
  redis.sendCommand = (command: Command, batch?: Batch, node?: ClusterRoute) => {
    if (state.lanes.isHandshake(command)) state.send(command, batch, node)
    else enter(state, command, batch, node)
    return command.promise
  }
  async function shut(): Promise<void> {
    state.isShut = true
    state.lanes.resubmitAll() // what waits for a connection is told at once
    if (!options.isBlocking) await state.pending.drained()
  }
  return { sizes: state.pending.sizes, shut, lastError: () => state.lastError }
}

/**
 * Takes a command in: from here on it is counted, and however ioredis settles it, it does so through the gate. (On a Cluster
 * ioredis wraps `reject` again to follow redirections; what it cannot follow arrives here.)
 */
function enter(state: State, command: Command, batch: Batch, node: ClusterRoute | undefined): void {
  const { pending } = state
  const mistake = batch === undefined ? mistakeIn(state, command) : mistakeInBatch(command)
  const record = mistake ? undefined : pending.accept(command, batch, node)
  if (!record) {
    nextTurn(() => command.reject(mistake ?? overloaded(state)))
    return
  }
  const { resolve } = command
  command.resolve = (reply) => {
    record.isAnswered = true
    pending.settle(record)
    if (state.refusals.size > 0) served(state, record)
    return resolve(reply)
  }
  command.reject = (error) => failed(state, record, error)
  submit(state, record)
}

/** Sends it, or lets it wait for the connection that it needs, unless that has been away for too long. */
function submit(state: State, record: Pending): void {
  const { lanes, isShut, options } = state
  const lane = isShut ? undefined : lanes.blocking(record)
  if (isShut) {
    nextTurn(() => fail(state, record, explain(state, record, 'the connection was closed')))
  } else if (!lane) {
    state.send(record.command, record.batch, record.route)
  } else if (record.acceptedMs - (lane.downSinceMs ?? record.acceptedMs) > options.graceMs) {
    nextTurn(() => fail(state, record, explain(state, record, 'not connected')))
  } else {
    lane.park(record)
  }
}

/**
 * A refusal costs no time, but it does let the event loop turn: promises alone would let a caller who tries again at once keep
 * this process from ever hearing that Redis is back.
 */
const nextTurn: (refuse: () => void) => unknown = setImmediate

/** ioredis is done with a command without a result: the server's error reply, or a connection that is gone. */
function failed(state: State, record: Pending, error: Error): void {
  if (record.isSettled) return
  if (record.isAnswered) {
    fail(state, record, error)
  } else if (error instanceof ReplyError) {
    refused(state, record, error)
  } else if (state.isShut || !mayResend(record)) {
    fail(state, record, explain(state, record, 'the connection was lost', error))
  } else {
    record.wasLost ||= record.isSent
    record.isSent = false
    state.lanes.laneOf(record).park(record) // and not at once: ioredis has just failed to send it
  }
}

/** What was never written may be, and what was written may be again when that makes no difference. */
function mayResend({ command, batch, isSent }: Pending): boolean {
  if (batch !== undefined) return false // some of a pipeline may have been answered, so there is no sending the rest
  return !isSent || (effectOf(command) !== 'once' && !isBlocking(command))
}

/**
 * The server's error reply, which says that it was not executed. What speaks of the server's state is asked again as long as
 * there is time, if that is safe, and never reaches the caller raw.
 */
function refused(state: State, record: Pending, error: Error): void {
  const { batch, command } = record
  if (!isRedisOutage(error)) {
    fail(state, record, error)
  } else if (batch !== undefined && (command.inTransaction || command.name === 'exec')) {
    // ioredis redirects a transaction as a whole, and finds out by these words that it has to. Valkey 9 says them to EXEC.
    fail(state, record, new RedisUnavailable(error.message, { cause: error }))
  } else {
    askAgain(state, record, error)
  }
}

function askAgain(state: State, record: Pending, error: Error): void {
  const delayMs = askAgainMs(state, record, replyWord(error.message))
  record.refusal = error
  record.batch = undefined
  record.route = undefined
  if (delayMs === undefined) fail(state, record, explain(state, record, error.message, error))
  else if (delayMs === 0) submit(state, record)
  else setTimeout(() => !record.isSettled && submit(state, record), delayMs).unref()
}

/** When to ask again, or undefined. Nothing was executed, so only two things count: is it of use, and does it keep the order? */
function askAgainMs(state: State, record: Pending, word: string): number | undefined {
  const { lanes, options, isShut } = state
  const isRead = effectOf(record.command) === 'read'
  const pauseMs = about(ASK_AGAIN_MS, 0.5)
  if (isShut) return undefined
  if (lanes.redirects && (word === 'MOVED' || word === 'ASK')) {
    // Of a pipeline, each on its own, in the order of the replies: later commands for the same key are sent on as well.
    return record.batch === undefined ? pauseMs : 0
  }
  // The rest of a pipeline has been executed meanwhile: a write must not come after what was to come after it.
  if (word === 'TRYAGAIN') return isRead || record.batch === undefined ? pauseMs : undefined
  if (!isRead || record.batch !== undefined) return undefined
  return refusingForMs(state, lanes.laneOf(record)) > options.graceMs ? undefined : pauseMs
}

/** Notes a refusal. Returns the time since the first one of this outage. */
function refusingForMs({ refusals }: State, lane: Lane): number {
  const nowMs = performance.now()
  for (const [each, { lastMs }] of refusals) if (nowMs - lastMs > REFUSAL_MEMORY_MS) refusals.delete(each)
  const firstMs = refusals.get(lane)?.firstMs ?? nowMs
  refusals.set(lane, { firstMs, lastMs: nowMs })
  return nowMs - firstMs
}

/** A key was read: this server is well again. */
function served({ lanes, refusals }: State, record: Pending): void {
  if (effectOf(record.command) === 'read' && record.command.getKeys().length > 0) {
    refusals.delete(lanes.laneOf(record))
  }
}

/** The deadline. A late answer finds the record settled and is dropped; one that is still queued is stopped at the exit. */
function expire(state: State, record: Pending): void {
  const { refusal, isSent } = record
  const missing = `no ${isSent ? 'answer' : 'connection'} within ${state.options.timeoutMs} ms`
  const reason = refusal ? `${missing}, after ${refusal.message}` : missing
  fail(state, record, explain(state, record, reason, refusal))
}

function fail({ pending, options }: State, record: Pending, error: Error): void {
  pending.settle(record)
  record.reject(explainRefusal(error, record.command, options.user))
}

/** The one place that decides between "nothing happened" and "nobody knows". */
function explain(state: State, record: Pending, reason: string, cause: Error | undefined = state.lastError): Error {
  const text = `${state.options.name}: ${record.command.name.toUpperCase()}: ${reason}`
  const hasNoEffect = effectOf(record.command) === 'read' || !(record.isSent || record.wasLost)
  return hasNoEffect ? new RedisUnavailable(text, { cause }) : new OutcomeUnknown(text, { cause })
}

function overloaded({ options, pending }: State): RedisOverloaded {
  const { count, bytes } = pending.sizes()
  return new RedisOverloaded(`${options.name}: ${count} commands (${bytes} bytes) are already in flight`)
}

/** What would harm the other users of the connection fails in any environment, at the first call. */
function mistakeIn({ options }: State, command: Command): TypeError | undefined {
  const harm = harmOf(command)
  return harm === undefined || (harm === 'blocks' && options.isBlocking) ? undefined : refusalOf(command, harm)
}

/** ioredis' own commands go to a Cluster's node directly. Those of a caller who took the node may do so, but not everything. */
function mistakeOnNode(state: State, node: Node, command: Command, batch: Batch): TypeError | undefined {
  if (batch !== undefined) return mistakeInBatch(command)
  if (NODE_COMMANDS.has(command.name) || isHandshake(node, command)) return undefined
  return mistakeIn(state, command)
}
/** By the Cluster client: before a redirected command, and when a node changes its role. */
const NODE_COMMANDS = new Set(['asking', 'readonly', 'readwrite'])
