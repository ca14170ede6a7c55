/** Orders in Postgres. Each change of status and the event that tells of it are one transaction. */
import { randomUUID } from 'node:crypto'
import type { CancelReason, Order, OrderStatus } from '@shop/contracts/order'
import { enqueue } from '@shop/service-kit/outbox'
import { keys } from '../keys.ts'
import type { Prisma, PrismaClient } from '../prisma/client/client.ts'
import { statusesBefore } from './order.ts'

type StoredOrder = Prisma.OrderGetPayload<{ include: { lines: true } }>
type Transaction = Prisma.TransactionClient

/** Where a page of orders ended. */
export interface OrderPosition {
  createdAt: string
  id: string
}

/** What a change of status brought about: `unchanged` when the order was not in a status that allows it. */
export type Change = 'changed' | 'unchanged'

export function createOrderStore(prisma: PrismaClient) {
  return { find, findOfUser, page, reserve, confirm, cancel }

  function find(id: string): Promise<StoredOrder | null> {
    return prisma.order.findUnique({ where: { id }, include: { lines: true } })
  }

  function findOfUser(id: string, userId: string): Promise<StoredOrder | null> {
    return prisma.order.findFirst({ where: { id, userId }, include: { lines: true } })
  }

  /** Newest first, `limit` + 1 at most: the one too many tells that there is another page. */
  function page(userId: string, limit: number, after?: OrderPosition): Promise<StoredOrder[]> {
    const createdAt = after && new Date(after.createdAt)
    return prisma.order.findMany({
      where: {
        userId,
        ...(createdAt && { OR: [{ createdAt: { lt: createdAt } }, { createdAt, id: { lt: after.id } }] }),
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      include: { lines: true },
      take: limit + 1,
    })
  }

  /** Stock is set aside: payment may be asked. Nobody else needs to hear of it. */
  async function reserve(id: string): Promise<Change> {
    return moved(await move(prisma, id, 'reserved'))
  }

  function confirm(id: string): Promise<Change> {
    return prisma.$transaction(async (tx) => {
      if (!(await move(tx, id, 'confirmed'))) return 'unchanged'
      await tx.payment.create({ data: { orderId: id, status: 'approved' } })
      const order = await tx.order.findUniqueOrThrow({ where: { id }, include: { lines: true } })
      await tell(tx, id, 'order.confirmed', placedData(order))
      return 'changed'
    })
  }

  function cancel(id: string, cancelReason: CancelReason): Promise<Change> {
    return prisma.$transaction(async (tx) => {
      const order = await move(tx, id, 'cancelled', cancelReason)
      if (!order) return 'unchanged'
      if (cancelReason === 'payment-declined') await tx.payment.create({ data: { orderId: id, status: 'declined' } })
      await tell(tx, id, 'order.cancelled', { orderId: id, userId: order.userId, reason: cancelReason })
      return 'changed'
    })
  }
}

export type OrderStore = ReturnType<typeof createOrderStore>

/** The row is changed only from a status that allows it, so of two that try at once one finds nothing to change. */
async function move(tx: Transaction, id: string, status: OrderStatus, cancelReason?: CancelReason) {
  const [order] = await tx.order.updateManyAndReturn({
    where: { id, status: { in: statusesBefore(status) } },
    data: { status, ...(cancelReason && { cancelReason }) },
  })
  return order
}

function moved(order: object | undefined): Change {
  return order ? 'changed' : 'unchanged'
}

/** Into the outbox, in the transaction of the change that it tells of. */
export async function tell(tx: Transaction, orderId: string, type: string, data: object): Promise<void> {
  const eventId = randomUUID()
  const body = JSON.stringify({ id: eventId, type, occurredAtMs: Date.now(), data })
  await enqueue(tx, { eventId, topic: keys.orderEvents.name, key: orderId, type, body })
}

/** The part that order.placed and order.confirmed have in common. */
export function placedData(order: Pick<StoredOrder, 'id' | 'userId' | 'totalCents' | 'lines'>) {
  return {
    orderId: order.id,
    userId: order.userId,
    items: order.lines.map(({ sku, quantity }) => ({ sku, quantity })),
    totalCents: order.totalCents,
  }
}

/** What its buyer sees of it. */
export function publicOrder(order: StoredOrder): Order {
  return {
    id: order.id,
    status: order.status as OrderStatus,
    ...(order.cancelReason !== null && { cancelReason: order.cancelReason as CancelReason }),
    items: order.lines.map(({ sku, name, quantity, unitPriceCents }) => ({ sku, name, quantity, unitPriceCents })),
    totalCents: order.totalCents,
    currency: order.currency,
    createdAt: order.createdAt.toISOString(),
    updatedAt: order.updatedAt.toISOString(),
  }
}
