/** A customer's orders: list, one, cancel, follow; and for administrators how one came to be what it is. Placing one is checkout's. */
import { Order, OrderPage, OrderQuery, OrderTimeline } from '@shop/contracts/order'
import { createCursor, cursorErrors } from '@shop/service-kit/http/cursor'
import {
  type EventStreams,
  eventStreamErrors,
  lastEventNumber,
  type ServerSentEvent,
} from '@shop/service-kit/http/event-stream'
import { noBody } from '@shop/service-kit/http/openapi'
import type { Server } from '@shop/service-kit/http/server'
import { identityErrors, requireAdmin, requireUser } from '@shop/service-kit/identity'
import { type Origin, originOf } from '@shop/service-kit/telemetry/origin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { isSettled, type LiveOrders } from './live.ts'
import { cancelByCustomer } from './order.ts'
import { publicOrder, publicProgress, publicTimeline } from './public.ts'
import type { StoredEntry } from './row.ts'
import type { OrderStore } from './store.ts'

export const OrderParams = Type.Object({ id: Type.String({ format: 'uuid' }) }, { additionalProperties: false })
const defaultLimit = 20
const { signInRequired } = identityErrors
const refusals = [signInRequired, errors.orderNotFound]
const liveEvents = {
  description: 'Server-sent events; the data of each is an OrderProgress',
  content: { 'text/event-stream': { schema: Type.String() } },
}
const adminOnly = { onRequest: async (request: FastifyRequest) => void requireAdmin(request) }

const cursor = createCursor(
  // As a number with limits: texts that look like a time may name none, or one that Postgres does not know.
  Type.Object(
    {
      createdAtMs: Type.Integer({ minimum: 0, maximum: Date.UTC(9999, 0) }),
      id: Type.String({ format: 'uuid' }),
    },
    { additionalProperties: false },
  ),
)

interface Dependencies {
  store: OrderStore
  /** How long a confirmed order can be cancelled. */
  windowMs: number
  live: LiveOrders
  streams: EventStreams
}

export function orderRoutes(server: Server, { store, windowMs, live, streams }: Dependencies) {
  server.get(
    '/api/orders',
    {
      schema: { summary: 'List your orders', querystring: OrderQuery, response: { 200: OrderPage } },
      config: { refusals: [signInRequired, cursorErrors.cursorInvalid] },
    },
    (request) => page(requireUser(request).userId, request.query),
  )

  server.get(
    '/api/orders/:id',
    {
      schema: { summary: 'Show one of your orders', params: OrderParams, response: { 200: Order } },
      config: { refusals },
    },
    (request) => find(request.params.id, requireUser(request).userId),
  )

  server.post(
    '/api/orders/:id/cancel',
    {
      schema: { summary: 'Cancel an order', params: OrderParams, response: { 200: Order } },
      config: { refusals: [...refusals, errors.notCancellable] },
    },
    (request) => cancel(request.params.id, requireUser(request).userId, originOf(request)),
  )

  server.get(
    '/api/orders/:id/timeline',
    {
      schema: { summary: 'Show every step of an order', params: OrderParams, response: { 200: OrderTimeline } },
      config: { refusals: [...refusals, identityErrors.adminOnly] },
      ...adminOnly,
    },
    (request) => timeline(request.params.id),
  )

  server.get(
    '/api/orders/:id/events',
    {
      schema: {
        summary: 'Follow an order live',
        params: OrderParams,
        response: { 200: liveEvents, 204: noBody('The order is settled; no events follow') },
      },
      config: { refusals: [...refusals, ...Object.values(eventStreamErrors)] },
    },
    (request, reply) => follow(request.params.id, request, reply),
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
    return {
      items,
      nextCursor: hasMore ? cursor.encode({ createdAtMs: Date.parse(last.createdAt), id: last.id }) : null,
    }
  }

  /** Another customer's order is answered like one that does not exist. */
  async function find(id: string, userId: string): Promise<Order> {
    const order = await store.findOfUser(id, userId)
    if (!order) throw errors.orderNotFound()
    return publicOrder(order, windowMs)
  }

  /** Cancelling twice is cancelling; an order that was confirmed long ago stays. */
  async function cancel(id: string, userId: string, origin: Origin): Promise<Order> {
    await find(id, userId)
    await store.update(id, (order) => cancelByCustomer(order, { nowMs: Date.now(), windowMs }), { origin })
    const order = await find(id, userId)
    if (order.status !== 'cancelled') throw errors.notCancellable()
    return order
  }

  /** 204 for a browser that has seen the end: it stops asking. */
  async function follow(id: string, request: FastifyRequest, reply: FastifyReply) {
    const { userId } = requireUser(request)
    const order = await store.findOfUser(id, userId)
    if (!order) throw errors.orderNotFound()
    // What a client has not seen yet it cannot have seen: a number of its own making stays within the column's range.
    const after = Math.min(lastEventNumber(request), order.stepCount)
    if (isSettled(order.status) && after >= order.stepCount) return reply.code(204).send()
    const events = (signal: AbortSignal) => progress(live.follow(store, { orderId: id, after, signal }))
    return streams.send(reply, { caller: userId, events })
  }

  async function timeline(id: string): Promise<OrderTimeline> {
    const order = await store.history(id)
    if (!order) throw errors.orderNotFound()
    return publicTimeline(order, windowMs)
  }
}

async function* progress(entries: AsyncIterable<StoredEntry>): AsyncGenerator<ServerSentEvent> {
  for await (const entry of entries) yield { id: entry.number, event: 'order', data: publicProgress(entry) }
}
