/**
 * Brings carts in line with orders. The order's row says what is to be done, written in the transaction that places or cancels the
 * order. So ordered lines leave the cart also when the instance died after its commit or Redis was away, and the lines of a refused
 * order go back. The loop may try either several times; the cart changes once.
 */
import type { CartLine } from '@shop/contracts/cart'
import type { Alarm } from '@shop/redis-kit/flow/alarm'
import { every } from '@shop/redis-kit/flow/every'
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { Carts } from '../cart/cart.ts'
import { ownerOfUser } from '../cart/owner.ts'
import { linesReturned } from '../orders/order.ts'
import type { OrderStore } from '../orders/store.ts'
import type { PrismaClient } from '../prisma/client/client.ts'

interface Dependencies {
  prisma: PrismaClient
  orders: Pick<OrderStore, 'update'>
  carts: Pick<Carts, 'take' | 'giveBack'>
  /** Rings when lines are to go back; what another instance has placed or cancelled is found by looking. */
  alarm: Alarm
  log: Log
}

interface DueCart {
  orderId: string
  userId: string
  cartId: string
  isReturn: boolean
}

const lookEveryMs = 2_000
const batchCount = 50
/** A cart that was taken and not finished, or that failed, is tried again after this long. */
const retryMs = 10_000

/** Any number of instances may run it. */
export function settleCarts(dependencies: Dependencies) {
  return (signal: AbortSignal, pulse?: Pulse) => {
    let mayBeFailing = true // an earlier run of this loop may have failed
    return every(lookEveryMs, { signal, alarm: dependencies.alarm }, async () => {
      const { dueCount, failures } = await settleDue(dependencies)
      for (const error of failures) pulse?.failed(error, 'carts')
      if (failures.length > 0) mayBeFailing = true
      else if (mayBeFailing && (dueCount > 0 || !(await isAnyOpen(dependencies)))) {
        pulse?.ok('carts')
        mayBeFailing = false
      }
      pulse?.ok()
      return dueCount < batchCount ? 'done' : 'more'
    })
  }
}

async function settleDue({ prisma, orders, carts, log }: Dependencies) {
  const due = await takeDue(prisma)
  const linesByOrder = await linesOf(prisma, due)
  const settled = await Promise.allSettled(due.map(settle))
  const failures: unknown[] = []
  for (const [index, outcome] of settled.entries()) {
    if (outcome.status === 'fulfilled') continue
    failures.push(outcome.reason)
    log.warn({ err: outcome.reason, orderId: due[index]?.orderId }, 'cart settlement postponed')
  }
  const taken = due.filter(({ isReturn }, index) => !isReturn && settled[index]?.status === 'fulfilled')
  if (taken.length > 0) await finish(prisma, taken)
  return { dueCount: due.length, failures }

  async function settle({ orderId, userId, cartId, isReturn }: DueCart): Promise<void> {
    const [owner, lines] = [ownerOfUser(userId), linesByOrder.get(orderId) ?? []]
    // Before a return as well: else what never left would be there already, and leave when the taking is tried again.
    await carts.take(owner, { cartId, lines })
    if (!isReturn) return
    const outcome = await carts.giveBack(owner, orderId, lines)
    await orders.update(orderId, (order) => linesReturned(order, outcome))
  }
}

/** Whether anything is left to do, now or later. Another instance may have done what failed here. */
async function isAnyOpen({ prisma }: Dependencies): Promise<boolean> {
  return (await prisma.order.count({ where: { cartDueAt: { not: null } }, take: 1 })) > 0
}

/** The next attempt is written down before this one. */
function takeDue(prisma: PrismaClient): Promise<DueCart[]> {
  return prisma.$queryRaw`
    UPDATE orders SET cart_due_at = now() + ${retryMs}::float8 * interval '1 millisecond'
    WHERE id IN (SELECT id FROM orders WHERE cart_due_at <= now()
                 ORDER BY cart_due_at LIMIT ${batchCount} FOR UPDATE SKIP LOCKED)
    RETURNING id AS "orderId", user_id AS "userId", cart_id AS "cartId",
      cart_return IS NOT DISTINCT FROM 'due' AS "isReturn"`
}

async function linesOf(prisma: PrismaClient, due: readonly DueCart[]): Promise<Map<string, CartLine[]>> {
  if (due.length === 0) return new Map()
  const rows = await prisma.orderLine.findMany({
    where: { orderId: { in: due.map(({ orderId }) => orderId) } },
    select: { orderId: true, sku: true, quantity: true },
  })
  return Map.groupBy(rows, ({ orderId }) => orderId)
}

/** Not of those that were cancelled meanwhile: their lines are to go back. */
async function finish(prisma: PrismaClient, due: readonly DueCart[]): Promise<void> {
  const ids = due.map(({ orderId }) => orderId)
  await prisma.$executeRaw`
    UPDATE orders SET cart_due_at = NULL
    WHERE id = ANY(${ids}::uuid[]) AND cart_return IS DISTINCT FROM 'due'`
}
