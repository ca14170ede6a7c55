/** Asking for the lease, and waiting while another has it. */
import { OutcomeUnknown } from '../errors.ts'
import { atMost } from '../flow/jitter.ts'
import { pause } from '../flow/pause.ts'
import { newToken, tokenOf } from './envelope.ts'
import type { Answer } from './lease.ts'
import type { Question } from './lookup.ts'
import { behind, type Core } from './reader.ts'

/** The value, the lease, or who has it. Throws when Redis gives no answer in time. */
export async function askForLease(core: Core, id: string, seen: Buffer | ''): Promise<Answer> {
  const { guard, leases } = core
  const token = newToken()
  try {
    return await guard(() => leases.getOrLease(id, seen, token))
  } catch (error) {
    // A lease granted after we stopped listening would keep everybody waiting for nobody.
    if (error instanceof OutcomeUnknown) behind(core, leases.release({ id, token, grantedAtMs: 0 }))
    throw error
  }
}

export interface Wait {
  /** The token of a value that will not do. */
  seen: Buffer | ''
  /** How long the other's lease lasts. */
  leftMs: number
  /** When patience ends, by `performance.now()`. */
  untilMs: number
  /** Marked each time that Redis is asked. */
  question: Pick<Question, 'asOf'>
}

/** The bytes that another filled in; undefined when its lease has ended without, or patience has. */
export async function untilFilled(core: Core, id: string, { seen, leftMs, untilMs, question }: Wait) {
  const startedAtMs = performance.now()
  try {
    for (let nowMs = startedAtMs; nowMs < untilMs; nowMs = performance.now()) {
      await pause(pollDelayMs(nowMs - startedAtMs, startedAtMs + leftMs - nowMs))
      question.asOf = ++core.order.count
      const { bytes, isHeld } = await core.guard(() => core.leases.peek(id))
      if (bytes && !(seen && tokenOf(bytes).equals(seen))) return bytes
      if (!isHeld) return undefined
    }
    return undefined
  } finally {
    core.onEvent?.('wait', { durationMs: performance.now() - startedAtMs })
  }
}

/**
 * In proportion to the wait so far, so that a short load is noticed at once and a long one is not asked about all the time;
 * jittered, so that waiting processes do not ask in step; and soon after the lease ends, for its holder may be dead.
 */
function pollDelayMs(waitedMs: number, leftMs: number): number {
  const delayMs = atMost(Math.min(Math.max(waitedMs * 0.2, 4), 100), 0.2)
  return Math.min(delayMs, Math.max(leftMs, 0) + 1)
}
