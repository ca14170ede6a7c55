/** A customer's orders: list, one, cancel; and for administrators how an order came to be what it is. Placing one is checkout's. */
import { Order, OrderPage, OrderQuery, OrderTimeline } from '@shop/contracts/order'
import { createCursor } from '@shop/service-kit/cursor'
import { requireAdmin, requireUser } from '@shop/service-kit/identity'
import type { Server } from '@shop/service-kit/server'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { cancelByCustomer } from './order.ts'
import { publicOrder, publicTimeline } from './public.ts'
import type { OrderStore } from './store.ts'

export const OrderParams = Type.Object({ id: Type.String({ format: 'uuid' }) })
const defaultLimit = 20
const adminOnly = { onRequest: async (request: FastifyRequest) => void requireAdmin(request) }

const cursor = createCursor(
  Type.Object({ createdAt: Type.String({ format: 'date-time' }), id: Type.String({ format: 'uuid' }) }),
)

export function orderRoutes(server: Server, { store, windowMs }: { store: OrderStore; windowMs: number }) {
  server.get('/api/orders', { schema: { querystring: OrderQuery, response: { 200: OrderPage } } }, (request) =>
    page(requireUser(request).userId, request.query),
  )

  server.get('/api/orders/:id', { schema: { params: OrderParams, response: { 200: Order } } }, (request) =>
    find(request.params.id, requireUser(request).userId),
  )

  server.post('/api/orders/:id/cancel', { schema: { params: OrderParams, response: { 200: Order } } }, (request) =>
    cancel(request.params.id, requireUser(request).userId),
  )

  server.get(
    '/api/orders/:id/timeline',
    { schema: { params: OrderParams, response: { 200: OrderTimeline } }, ...adminOnly },
    (request) => timeline(request.params.id),
  )

  async function page(userId: string, { cursor: from, ...query }: OrderQuery): Promise<OrderPage> {
    const { limit = defaultLimit } = query
    const rows = await store.page(userId, {
      ...query,
      limit,
      after: from === undefined ? undefined : cursor.decode(from),
    })
    const items = rows.slice(0, limit).map((row) => publicOrder(row, windowMs))
    const last = items.at(-1)
    const hasMore = rows.length > limit && last !== undefined
    return { items, nextCursor: hasMore ? cursor.encode({ createdAt: last.createdAt, id: last.id }) : null }
  }

  /** Another customer's order is answered like one that does not exist. */
  async function find(id: string, userId: string): Promise<Order> {
    const order = await store.findOfUser(id, userId)
    if (!order) throw errors.orderNotFound()
    return publicOrder(order, windowMs)
  }

  /** Cancelling twice is cancelling; an order that was confirmed long ago stays. */
  async function cancel(id: string, userId: string): Promise<Order> {
    await find(id, userId)
    await store.update(id, (order) => cancelByCustomer(order, { nowMs: Date.now(), windowMs }))
    const order = await find(id, userId)
    if (order.status !== 'cancelled') throw errors.notCancellable()
    return order
  }

  async function timeline(id: string): Promise<OrderTimeline> {
    const order = await store.history(id)
    if (!order) throw errors.orderNotFound()
    return publicTimeline(order, windowMs)
  }
}
