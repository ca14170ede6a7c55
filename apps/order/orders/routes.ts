/** A customer's orders: list, one, cancel. Placing one is checkout's. */
import { Order, OrderPage, OrderQuery } from '@shop/contracts/order'
import { createCursor } from '@shop/service-kit/cursor'
import { requireUser } from '@shop/service-kit/identity'
import type { Server } from '@shop/service-kit/server'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { type OrderStore, publicOrder } from './store.ts'

const OrderParams = Type.Object({ id: Type.String({ format: 'uuid' }) })
const defaultLimit = 20

const cursor = createCursor(
  Type.Object({ createdAt: Type.String({ format: 'date-time' }), id: Type.String({ format: 'uuid' }) }),
)

export function orderRoutes(server: Server, store: OrderStore) {
  server.get('/api/orders', { schema: { querystring: OrderQuery, response: { 200: OrderPage } } }, (request) =>
    page(requireUser(request).userId, request.query),
  )

  server.get('/api/orders/:id', { schema: { params: OrderParams, response: { 200: Order } } }, (request) =>
    find(request.params.id, requireUser(request).userId),
  )

  server.post('/api/orders/:id/cancel', { schema: { params: OrderParams, response: { 200: Order } } }, (request) =>
    cancel(request.params.id, requireUser(request).userId),
  )

  async function page(userId: string, { limit = defaultLimit, cursor: after }: OrderQuery): Promise<OrderPage> {
    const rows = await store.page(userId, limit, after === undefined ? undefined : cursor.decode(after))
    const items = rows.slice(0, limit).map(publicOrder)
    const last = items.at(-1)
    const hasMore = rows.length > limit && last !== undefined
    return { items, nextCursor: hasMore ? cursor.encode({ createdAt: last.createdAt, id: last.id }) : null }
  }

  /** Another customer's order is answered like one that does not exist. */
  async function find(id: string, userId: string): Promise<Order> {
    const order = await store.findOfUser(id, userId)
    if (!order) throw errors.orderNotFound()
    return publicOrder(order)
  }

  /** Cancelling twice is cancelling; a confirmed order stays. */
  async function cancel(id: string, userId: string): Promise<Order> {
    await find(id, userId)
    await store.cancel(id, 'by-customer')
    const order = await find(id, userId)
    if (order.status !== 'cancelled') throw errors.notCancellable()
    return order
  }
}
