/**
 * What a connection owes its callers: every command that was accepted and has not settled, with its deadline. It is bounded
 * in count and bytes, because what waits for a server that does not answer is this process's memory.
 */
import type { Command, Redis as Node } from 'ioredis'

/** ioredis passes it along with each command of a pipeline, one object per execution: what has the same one is a batch. */
export type Batch = Parameters<Node['sendCommand']>[1]

/** Where a Cluster client sends a pipeline. */
export interface ClusterRoute {
  slot?: number
  redis?: Node
}

export interface PendingLimits {
  maxPendingCount: number
  maxPendingBytes: number
  timeoutMs: number
}

/**
 * A class, against the habit of this repository, because this is made for each command: V8 came to allocate an object
 * literal of this place in the old generation ("pretenuring"), where it kept alive whatever it had pointed to. Measured:
 * 25 major collections per 400,000 commands and half of the CPU time, instead of 2 and hardly any.
 */
export class Pending {
  readonly command: Command
  /** Both undefined once a command of a pipeline goes on by itself, after a redirection. */
  batch: Batch
  route: ClusterRoute | undefined
  /** The promise's own, before the gate and ioredis wrapped it. */
  readonly reject: Command['reject']
  readonly acceptedMs: number
  readonly sizeBytes: number
  /** Written to the connection it is on now: the server may have read it. */
  isSent = false
  /** Was written to a connection that is gone, and is to be sent again. */
  wasLost = false
  /** The server answered; what fails after that is not the connection. */
  isAnswered = false
  /** The server said that it cannot do this now, and it is asked again. */
  refusal: Error | undefined = undefined
  isSettled = false
  previous: Pending | undefined = undefined
  next: Pending | undefined = undefined

  constructor(command: Command, batch: Batch, route: ClusterRoute | undefined, acceptedMs: number) {
    this.command = command
    this.batch = batch
    this.route = route
    this.reject = command.reject
    this.acceptedMs = acceptedMs
    this.sizeBytes = sizeOf(command)
  }
}

/** Where a command carries its record, so that the node that it reaches finds it without a look-up. */
const RECORD = Symbol('pending')
type Tracked = Command & { [RECORD]?: Pending }

export const pendingOf = (command: Command): Pending | undefined => (command as Tracked)[RECORD]

/** Deadlines are checked this often at most: one timer serves thousands of commands. */
const SWEEP_MS = 10
/** A timer that is this late was not alone: the process was busy, and the answer may be waiting in the socket. */
const LATE_MS = 50

export type PendingSet = ReturnType<typeof createPendingSet>

export function createPendingSet(limits: PendingLimits, onExpired: (record: Pending) => void) {
  const { maxPendingCount, maxPendingBytes, timeoutMs } = limits
  // A list, linked through the records, in order of acceptance: that is the order of deadlines. (A Set would do, but its
  // outgrown tables point to their successors, and one of them in the old generation keeps all later ones alive.)
  let first: Pending | undefined
  let last: Pending | undefined
  let count = 0
  let bytes = 0
  let timer: NodeJS.Timeout | undefined
  let batchOfLast: Batch
  let admittedMs: number | undefined
  let onDrained = () => {}

  return { accept, settle, drained, sizes: () => ({ count, bytes }) }

  /** Undefined when the limits are reached. A batch is accepted or refused as a whole: half a pipeline is a broken stream. */
  function accept(command: Command, batch: Batch, route: ClusterRoute | undefined): Pending | undefined {
    if (batch === undefined || batch !== batchOfLast) {
      admittedMs = count < maxPendingCount && bytes < maxPendingBytes ? performance.now() : undefined
      batchOfLast = batch
    }
    if (admittedMs === undefined) return undefined
    const record = new Pending(command, batch, route, admittedMs)
    ;(command as Tracked)[RECORD] = record
    append(record)
    if (!timer) arm(timeoutMs)
    return record
  }
  function settle(record: Pending): void {
    if (record.isSettled) return
    record.isSettled = true
    unlink(record)
    if (count === 0) onDrained()
  }
  /** Resolves once nothing is owed, which is a deadline away at most when nothing new is accepted. */
  function drained(): Promise<void> {
    if (count === 0) return Promise.resolve()
    return new Promise((resolve) => {
      onDrained = resolve
    })
  }
  /** The youngest deadline is always the last: all commands of a connection have the same time. */
  function append(record: Pending): void {
    record.previous = last
    if (last) last.next = record
    else first = record
    last = record
    count++
    bytes += record.sizeBytes
  }
  function unlink(record: Pending): void {
    const { previous, next } = record
    if (previous) previous.next = next
    else first = next
    if (next) next.previous = previous
    else last = previous
    record.previous = record.next = undefined // or the settled would keep all that came after them alive
    count--
    bytes -= record.sizeBytes
  }
  /** One timer for the oldest, and none while nothing is owed. It keeps no process alive: the sockets do. */
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
    while (first) {
      const remainingMs = first.acceptedMs + timeoutMs - nowMs
      if (remainingMs > 0) {
        arm(Math.max(SWEEP_MS, remainingMs))
        return
      }
      onExpired(first) // settles it
    }
  }
}

/** Nearly: characters count as bytes, and the protocol's own framing as one number per argument. */
function sizeOf(command: Command): number {
  let size = command.name.length
  for (const argument of command.args) size += 16 + (typeof argument === 'number' ? 0 : argument.length)
  return size
}
