/**
 * A payment provider that exists only here. It keeps books of its own, as a real one does, so that charging twice under one
 * key charges once. Four cards: `approve`, `decline`; `timeout`, which charges and then does not answer in time, and whoever
 * asks again hears that it was approved; `callback`, whose outcome it tells a moment later, and twice.
 */
import { once } from 'node:events'
import { pause } from '@shop/redis-kit/flow/pause'
import type { PrismaClient } from '../prisma/client/client.ts'
import {
  type Answer,
  type Charge,
  type PaymentCallback,
  PaymentOutcomeUnknown,
  type PaymentProvider,
  type Refund,
} from './provider.ts'

export interface SimulationOptions {
  /** Between the charge and the first callback. @default 300 */
  callbackDelayMs?: number
  /** How often each callback is delivered, and acknowledged. @default 2 */
  callbackCount?: number
  /** After how long one that was not acknowledged is delivered again. @default 2_000 */
  callbackRetryMs?: number
  /** How often the books are looked through for callbacks. @default 500 */
  pollMs?: number
}

export function createSimulatedProvider(
  books: PrismaClient,
  { callbackDelayMs = 300, callbackCount = 2, callbackRetryMs = 2_000, pollMs = 500 }: SimulationOptions = {},
): PaymentProvider {
  return { charge, refund, callbacks }

  async function charge({ key, amountCents, card }: Charge, signal: AbortSignal): Promise<Answer> {
    const outcome = card === 'decline' ? 'declined' : 'approved'
    const callbackDueAt = card === 'callback' ? new Date(Date.now() + callbackDelayMs) : null
    const entry = await books.simulatedCharge.upsert({
      where: { key },
      create: { key, amountCents, outcome, callbackDueAt },
      update: { attempts: { increment: 1 } },
    })
    if (card === 'timeout' && entry.attempts === 1) {
      if (!signal.aborted) await once(signal, 'abort')
      throw new PaymentOutcomeUnknown(`no answer for ${key} in time`)
    }
    const isPending = card === 'callback' && entry.heardCount === 0
    return { outcome: isPending ? 'pending' : outcomeOf(entry), reference: referenceOf(key) }
  }

  /** What comes back before it was charged is not charged any more. */
  async function refund({ key, amountCents }: Refund): Promise<void> {
    await books.simulatedCharge.upsert({
      where: { key },
      create: { key, amountCents, outcome: 'declined', refunded: true },
      update: { refunded: true },
    })
  }

  async function* callbacks(signal: AbortSignal, onNone?: () => void): AsyncGenerator<PaymentCallback> {
    while (!signal.aborted) {
      const due = await takeCallbacks()
      for (const { key, callbackId, outcome } of due) {
        yield {
          id: callbackId,
          key,
          outcome: outcomeOf({ outcome }),
          reference: referenceOf(key),
          ack: () => acknowledge(key),
        }
      }
      if (due.length > 0) continue
      onNone?.()
      await pause(pollMs, signal)
    }
  }

  /** Whoever takes one has some time to acknowledge it. */
  function takeCallbacks() {
    return books.$queryRaw<{ key: string; callbackId: string; outcome: string }[]>`
      UPDATE simulated_charges SET callback_due_at = now() + ${callbackRetryMs}::int * interval '1 millisecond'
      WHERE key IN (SELECT key FROM simulated_charges WHERE callback_due_at <= now()
                    ORDER BY callback_due_at LIMIT 20 FOR UPDATE SKIP LOCKED)
      RETURNING key, callback_id AS "callbackId", outcome`
  }

  async function acknowledge(key: string): Promise<void> {
    await books.$executeRaw`
      UPDATE simulated_charges SET heard_count = heard_count + 1,
        callback_due_at = CASE WHEN heard_count + 1 < ${callbackCount}::int THEN now() END
      WHERE key = ${key}`
  }
}

const outcomeOf = ({ outcome }: { outcome: string }) => (outcome === 'declined' ? 'declined' : 'approved')
const referenceOf = (key: string) => `sim_${key}`
