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
import { blockMsOf, effectOf } from './effect.ts'
import { OutcomeUnknown, RedisOverloaded, RedisUnavailable } from './errors.ts'
import { guardExit } from './exit.ts'
import { createLanes, type Lanes } from './lanes.ts'
import { type Batch, type ClusterRoute, createPendingSet, type Pending, type PendingSet } from './pending.ts'
import { explainRefusal } from './permission.ts'

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
}

/** These change the connection itself, which all callers share: one caller's MULTI would swallow the others' commands. */
const NOT_SHAREABLE = new Set(['monitor', 'multi', 'psubscribe', 'reset', 'select', 'ssubscribe', 'subscribe', 'watch'])

export function installGate(redis: Node | Cluster, options: GateOptions): Gate {
  const state: State = {
    options,
    pending: createPendingSet(options, (record) => expire(state, record)),
    lanes: createLanes(redis, { onNode: guardExit, resubmit: (record) => submit(state, record) }),
    send: redis.sendCommand.bind(redis),
    isShut: false,
  }
  for (const event of ['error', 'node error']) {
    redis.on(event, (error: Error) => {
      state.lastError = error
    })
  }
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
  const { options, pending } = state
  const mistake = batch === undefined ? mistakeIn(command, options) : undefined
  const record = mistake ? undefined : pending.accept(command, batch, node)
  if (!record) {
    nextTurn(() => command.reject(mistake ?? overloaded(state)))
    return
  }
  const { resolve } = command
  command.resolve = (reply) => {
    record.isAnswered = true
    pending.settle(record)
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
  if (record.isAnswered || error instanceof ReplyError) {
    fail(state, record, error)
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
  return !isSent || (effectOf(command) !== 'once' && blockMsOf(command) === undefined)
}

/** The deadline. A late answer finds the record settled and is dropped; one that is still queued is stopped at the exit. */
function expire(state: State, record: Pending): void {
  const missing = record.isSent ? 'answer' : 'connection'
  fail(state, record, explain(state, record, `no ${missing} within ${state.options.timeoutMs} ms`))
}

function fail({ pending, options }: State, record: Pending, error: Error): void {
  pending.settle(record)
  record.reject(explainRefusal(error, record.command, options.user))
}

/** The one place that decides between "nothing happened" and "nobody knows". */
function explain(state: State, record: Pending, reason: string, cause = state.lastError): Error {
  const text = `${state.options.name}: ${record.command.name.toUpperCase()}: ${reason}`
  const hasNoEffect = effectOf(record.command) === 'read' || !(record.isSent || record.wasLost)
  return hasNoEffect ? new RedisUnavailable(text, { cause }) : new OutcomeUnknown(text, { cause })
}

function overloaded({ options, pending }: State): RedisOverloaded {
  const { count, bytes } = pending.sizes()
  return new RedisOverloaded(`${options.name}: ${count} commands (${bytes} bytes) are in flight already`)
}

/** What would harm the other users of the connection fails in any environment, at the first call. */
function mistakeIn(command: Command, { isBlocking }: GateOptions): TypeError | undefined {
  const name = command.name.toLowerCase()
  if (NOT_SHAREABLE.has(name)) return new TypeError(`${name.toUpperCase()} changes the connection, which others share`)
  if (isBlocking || blockMsOf(command) === undefined) return undefined
  return new TypeError(`${name.toUpperCase()} would hold everybody up: use a connection of role 'blocking'`)
}
