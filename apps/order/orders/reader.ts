/** Orders as they are in Postgres, for those who only look. */
import type { OrderStatus } from '@shop/contracts/order'
import type { PrismaClient } from '../prisma/client/client.ts'
import {
  type StoredEntry,
  type StoredHistory,
  type StoredOrder,
  toEntry,
  toHistory,
  toStoredOrder,
  withLockedParts,
  withPublicParts,
} from './row.ts'

/** Where a page of orders ended. */
export interface OrderPosition {
  createdAtMs: number
  id: string
}

export interface PageQuery {
  limit: number
  status?: OrderStatus
  after?: OrderPosition
}

export function createOrderReader(prisma: PrismaClient) {
  return { findOfUser, history, entriesAfter, page, waitingFor }

  async function findOfUser(id: string, userId: string): Promise<StoredOrder | null> {
    const row = await prisma.order.findFirst({ where: { id, userId }, include: withPublicParts })
    return row && toStoredOrder(row)
  }

  async function history(id: string): Promise<StoredHistory | null> {
    const timeline = { orderBy: { number: 'asc' } } as const
    const include = { ...withPublicParts, ...withLockedParts, timeline } as const
    const row = await prisma.order.findUnique({ where: { id }, include })
    return row && toHistory(row)
  }

  async function entriesAfter(orderId: string, number: number): Promise<StoredEntry[]> {
    const where = { orderId, number: { gt: number } }
    const rows = await prisma.timelineEntry.findMany({ where, orderBy: { number: 'asc' } })
    return rows.map(toEntry)
  }

  /** Newest first, `limit` + 1 at most: the one too many tells that there is another page. */
  async function page(userId: string, { limit, status, after }: PageQuery): Promise<StoredOrder[]> {
    const createdAt = after && new Date(after.createdAtMs)
    const rows = await prisma.order.findMany({
      where: {
        userId,
        ...(status && { status }),
        ...(createdAt && { OR: [{ createdAt: { lt: createdAt } }, { createdAt, id: { lt: after.id } }] }),
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      include: withPublicParts,
      take: limit + 1,
    })
    return rows.map(toStoredOrder)
  }

  /** Orders that have come to no end so long after they were placed, the oldest first. The clock is Postgres'. */
  async function waitingFor(ms: number, limit: number): Promise<string[]> {
    const rows = await prisma.$queryRaw<{ id: string }[]>`
      SELECT id FROM orders
      WHERE status IN ('pending', 'reserved') AND waiting_since <= now() - ${ms}::float8 * interval '1 millisecond'
      ORDER BY waiting_since LIMIT ${limit}`
    return rows.map(({ id }) => id)
  }
}
