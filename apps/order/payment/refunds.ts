/**
 * Gives money back. What is due is a row in Postgres, written in the transaction that cancels the order, so no refund is lost: this loop
 * tries each, with growing pauses and for ever, until the provider says that it is done.
 */

import type { Alarm } from '@shop/redis-kit/flow/alarm'
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Log } from '@shop/service-kit/telemetry/log'
import { refunded } from '../orders/order.ts'
import { centsOf } from '../orders/row.ts'
import type { OrderStore } from '../orders/store.ts'
import type { PrismaClient } from '../prisma/client/client.ts'
import type { PaymentProvider, Refund } from './provider.ts'
import type { InTurn } from './turns.ts'

interface Dependencies {
  prisma: PrismaClient
  orders: OrderStore
  provider: PaymentProvider
  inTurn: InTurn
  /** Rings when a refund became due here; others are found by looking. */
  alarm: Alarm
  paymentTimeoutMs: number
  /**
   * The pause after the first attempt, doubled after each. At least twice the time limit of a call: a call and the wait for its turn.
   * @default 2_000
   */
  retryBaseMs?: number
  log: Log
}

const lookEveryMs = 2_000
const batchCount = 20
const longestRetryMs = 5 * 60_000

interface DueRefund extends Refund {
  round: number
  attempts: number
}
type DueRow = Omit<DueRefund, 'amountCents'> & { totalCents: bigint }

/** Any number of instances may run it: the one that takes a refund moves its time on, so that the others skip it. */
export function giveMoneyBack(dependencies: Dependencies) {
  const { prisma, orders, provider, inTurn, alarm, paymentTimeoutMs, retryBaseMs = 2_000, log } = dependencies
  const firstMs = Math.max(retryBaseMs, 2 * paymentTimeoutMs)
  return (signal: AbortSignal, pulse?: Pulse) => {
    let mayBeFailing = true // an earlier run of this loop may have failed
    return every(lookEveryMs, { signal, alarm }, async () => {
      const due = await takeDue()
      const failures = (await Promise.all(due.map(giveBack))).filter((error) => error !== undefined)
      if (failures.length > 0) {
        pulse?.failed(failures[0], 'provider')
        mayBeFailing = true
      } else if (mayBeFailing && (due.length > 0 || !(await isAnyToRepeat()))) {
        pulse?.ok('provider')
        mayBeFailing = false
      }
      pulse?.ok()
      return due.length < batchCount ? 'done' : 'more'
    })
  }

  /** The pause before the next attempt is written down before this one: who dies in it has had its turn. */
  async function takeDue(): Promise<DueRefund[]> {
    const rows = await prisma.$queryRaw<DueRow[]>`
      UPDATE refunds SET attempts = refunds.attempts + 1, due_at = now() + interval '1 millisecond'
        * least(${firstMs}::float8 * 2 ^ least(refunds.attempts, 20), ${longestRetryMs}::float8)
      FROM orders LEFT JOIN payments ON payments.order_id = orders.id
      WHERE orders.id = refunds.order_id AND refunds.order_id IN (
        SELECT order_id FROM refunds WHERE status = 'due' AND due_at <= now()
        ORDER BY due_at LIMIT ${batchCount} FOR UPDATE SKIP LOCKED)
      RETURNING refunds.order_id AS key, refunds.round, refunds.attempts,
        orders.total_cents AS "totalCents", payments.reference`
    return rows.map(({ totalCents, ...row }) => ({ ...row, amountCents: centsOf(totalCents) }))
  }

  /** Whether a refund that was tried is still due. Another instance may have given back what failed here. */
  async function isAnyToRepeat(): Promise<boolean> {
    return (await prisma.refund.count({ where: { status: 'due', attempts: { gt: 0 } }, take: 1 })) > 0
  }

  /** Resolves with what went wrong. */
  async function giveBack({ round, attempts, ...refund }: DueRefund): Promise<unknown> {
    try {
      await inTurn(() => provider.refund(refund, AbortSignal.timeout(paymentTimeoutMs)))
      await orders.update(refund.key, (order) => refunded(order, round))
    } catch (error) {
      log.warn({ err: error, orderId: refund.key, attempts }, 'refund postponed')
      return error
    }
  }
}
