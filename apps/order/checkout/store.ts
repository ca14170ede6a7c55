/**
 * Placing an order: the order, the record of its Idempotency-Key and the event are one transaction. The record's primary key is
 * what decides between requests that come at once; a cart's id decides between keys.
 */
import { randomUUID } from 'node:crypto'
import type { CartLine } from '@shop/contracts/cart'
import type { Card, OrderLine } from '@shop/contracts/order'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import { publicOrder } from '../orders/public.ts'
import { orderData, tell, withRequestId } from '../orders/store.ts'
import { Prisma, type PrismaClient } from '../prisma/client/client.ts'

export interface NewOrder {
  userId: string
  cartId: string
  card: Card
  items: OrderLine[]
  totalCents: number
  currency: string
}

export interface RequestKey {
  userId: string
  keyHash: string
  fingerprint: string
}

/** An answer that was given: to be given again, byte for byte. */
export interface Recorded {
  fingerprint: string
  status: number
  body: string
  cartId: string
}

export function createCheckoutStore(prisma: PrismaClient, { instance }: { instance: string }) {
  return { recorded, linesOfCart, place }

  async function recorded({ userId, keyHash }: RequestKey): Promise<Recorded | undefined> {
    const [record] = await prisma.$queryRaw<Recorded[]>`
      SELECT fingerprint, record.status, body, cart_id AS "cartId"
      FROM idempotency_records AS record JOIN orders ON orders.id = order_id
      WHERE record.user_id = ${userId}::uuid AND key_hash = ${keyHash}`
    return record
  }

  /** Of the order that the cart has become. */
  function linesOfCart(cartId: string): Promise<CartLine[]> {
    return prisma.orderLine.findMany({ where: { order: { cartId } }, select: { sku: true, quantity: true } })
  }

  /** The answer, or which of the two was used by a request that came first. */
  async function place(
    key: RequestKey,
    { items, ...order }: NewOrder,
    origin: Origin,
  ): Promise<Recorded | 'key-taken' | 'cart-taken'> {
    const id = randomUUID()
    const createdAt = new Date()
    const fields = { id, ...order, status: 'pending' as const, createdAt, updatedAt: createdAt, stepCount: 1 }
    const body = JSON.stringify(publicOrder({ ...fields, ...nothingYet, lines: items.map(withOrder(id)) }, 0))
    const record: Recorded = { fingerprint: key.fingerprint, status: 202, body, cartId: order.cartId }
    try {
      await prisma.$transaction(async (tx) => {
        await tx.idempotencyRecord.create({ data: { ...key, orderId: id, status: record.status, body } })
        await tx.order.create({ data: { ...fields, lines: { create: items } } })
        const data = orderData({ ...order, id, lines: items.map(withOrder(id)) })
        const toldId = await tell(tx, { orderId: id, type: 'order.placed', data, origin })
        const told = { toldType: 'order.placed', toldId, detail: withRequestId({}, origin) }
        const step = { number: 1, step: 'placed', by: 'customer', status: 'pending', instance, ...told }
        await tx.timelineEntry.create({ data: { orderId: id, ...step } })
      })
      return record
    } catch (error) {
      if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') throw error
      return (await prisma.order.count({ where: { cartId: order.cartId } })) > 0 ? 'cart-taken' : 'key-taken'
    }
  }
}

/** What an order that was just placed does not have. */
const nothingYet = { cancelReason: null, confirmedAt: null, refund: null, cartReturn: null }
const withOrder = (orderId: string) => (line: OrderLine) => ({ orderId, ...line })

export type CheckoutStore = ReturnType<typeof createCheckoutStore>
