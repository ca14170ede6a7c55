/**
 * What a connection owes its callers: every command that was accepted and has not settled, with its deadline. It is bounded
 * in count and bytes, because what waits for a server that does not answer is this process's memory.
 */
import type { Command } from 'ioredis'

/** ioredis passes it along with each command of a pipeline, one object per execution: what has the same one is a batch. */
export type Batch = Parameters<import('ioredis').Redis['sendCommand']>[1]

export interface Pending {
  readonly command: Command
  readonly batch: Batch
  /** Cluster: the node that a pipeline goes to. */
  readonly node: ClusterRoute | undefined
  readonly sizeBytes: number
  readonly acceptedMs: number
  /** Written to the connection it is on now; the server may have read it. */
  isSent: boolean
  /** Was written to a connection that is gone, and is to be sent again. */
  wasLost: boolean
  isSettled: boolean
  /** The server answered; what fails after that is not the connection. */
  isAnswered: boolean
  /** The promise's own, before the gate and ioredis wrapped them. */
  readonly reject: Command['reject']
}

export interface ClusterRoute {
  slot?: number
  redis?: import('ioredis').Redis
}

export interface PendingLimits {
  maxPendingCount: number
  maxPendingBytes: number
  timeoutMs: number
}

/** Where a command carries its record, so that the node it reaches finds it without a look-up. */
const RECORD = Symbol('pending')
type Tracked = Command & { [RECORD]?: Pending }

export const pendingOf = (command: Command): Pending | undefined => (command as Tracked)[RECORD]

/** Deadlines are checked this often at most: one timer serves thousands of commands. */
const SWEEP_MS = 10
/** A timer that is this late was not alone: the process was busy, and the answer may be waiting in the socket. */
const LATE_MS = 50

export type PendingSet = ReturnType<typeof createPendingSet>

export function createPendingSet(
  { maxPendingCount, maxPendingBytes, timeoutMs }: PendingLimits,
  onExpired: (p: Pending) => void,
) {
  /** In order of acceptance, which is the order of deadlines. */
  const waiting = new Set<Pending>()
  let bytes = 0
  let timer: NodeJS.Timeout | undefined
  let batch: Batch
  let batchAcceptedMs: number | undefined
  let onDrained = () => {}

  return { accept, settle, sizes: () => ({ count: waiting.size, bytes }), drained }

  /** Undefined when the limits are reached. A batch is accepted or refused as a whole: half a pipeline is a broken stream. */
  function accept(command: Command, ofBatch: Batch, node: ClusterRoute | undefined): Pending | undefined {
    const acceptedMs = ofBatch !== undefined && ofBatch === batch ? batchAcceptedMs : admit()
    batch = ofBatch
    batchAcceptedMs = acceptedMs
    if (acceptedMs === undefined) return undefined
    const record: Pending = {
      command,
      batch: ofBatch,
      node,
      sizeBytes: sizeOf(command),
      acceptedMs,
      isSent: false,
      wasLost: false,
      isSettled: false,
      isAnswered: false,
      reject: command.reject,
    }
    ;(command as Tracked)[RECORD] = record
    waiting.add(record)
    bytes += record.sizeBytes
    if (!timer) arm(timeoutMs)
    return record
  }
  function admit(): number | undefined {
    return waiting.size < maxPendingCount && bytes < maxPendingBytes ? performance.now() : undefined
  }
  function settle(record: Pending): void {
    if (record.isSettled) return
    record.isSettled = true
    waiting.delete(record)
    bytes -= record.sizeBytes
    if (waiting.size === 0) onDrained()
  }
  /** Resolves once nothing is owed, which is a deadline away at most when nothing new is accepted. */
  function drained(): Promise<void> {
    if (waiting.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      onDrained = resolve
    })
  }
  function arm(delayMs: number): void {
    const dueMs = performance.now() + delayMs
    timer = setTimeout(() => {
      // Node runs timers before it reads sockets: after a long pause, let it read first.
      if (performance.now() - dueMs > LATE_MS) setImmediate(sweep)
      else sweep()
    }, delayMs)
    timer.unref()
  }
  /** Expires what is due. All commands of a batch share one `acceptedMs`, so they expire together. */
  function sweep(): void {
    timer = undefined
    const nowMs = performance.now()
    for (const record of waiting) {
      const remainingMs = record.acceptedMs + timeoutMs - nowMs
      if (remainingMs > 0) {
        arm(Math.max(SWEEP_MS, remainingMs))
        return
      }
      onExpired(record)
    }
  }
}

/** Nearly: characters count as bytes, and the protocol's own framing as one number per argument. */
function sizeOf(command: Command): number {
  let size = command.name.length
  for (const argument of command.args) size += 16 + (typeof argument === 'number' ? 0 : argument.length)
  return size
}
