/** POST /api/orders: the signed-in customer's cart becomes an order, once per Idempotency-Key. */
import { identityHeader } from '@shop/contracts/identity'
import { Checkout, IdempotencyKey, Order } from '@shop/contracts/order'
import type { Server } from '@shop/service-kit/http/server'
import { createCheck } from '@shop/service-kit/http/validation'
import { identityErrors, requireUser } from '@shop/service-kit/identity'
import { originOf } from '@shop/service-kit/telemetry/origin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { type CartOwner, ownerOfUser } from '../cart/owner.ts'
import { errors } from '../errors.ts'
import type { Catalog } from './catalog.ts'
import type { PlaceOrder } from './checkout.ts'

const checkKey = createCheck(IdempotencyKey)
const { cartEmpty, cartOrdered, productsGone, priceChanged, keyRequired, inProgress, keyReused } = errors
const checkoutErrors = [cartEmpty, cartOrdered, productsGone, priceChanged, keyRequired, inProgress, keyReused]
const config = {
  refusals: [identityErrors.signInRequired, ...checkoutErrors],
  describedHeaders: Type.Object({ 'idempotency-key': IdempotencyKey }),
}

interface Dependencies {
  placeOrder: PlaceOrder
  owner: CartOwner
  catalog: Catalog
}

export function checkoutRoutes(server: Server, { placeOrder, owner, catalog }: Dependencies) {
  server.post(
    '/api/orders',
    { schema: { summary: 'Order the cart', body: Checkout, response: { 202: Order } }, config },
    async (request, reply) => {
      const answer = await placeOrder(await requestOf(request, reply, request.body))
      if (answer.isReplay) reply.header('idempotent-replayed', 'true')
      // Stored as text and sent as text: the same bytes every time.
      return reply
        .code(answer.status as 202)
        .type('application/json')
        .serializer(String)
        .send(answer.body as never)
    },
  )

  async function requestOf(request: FastifyRequest, reply: FastifyReply, body: Checkout) {
    const { userId } = requireUser(request)
    const key = keyOf(request.headers['idempotency-key'])
    const token = String(request.headers[identityHeader])
    const quote = (skus: readonly string[]) => catalog.quote(skus, { token, requestId: request.id })
    await owner.find(request, reply) // her guest's cart is part of hers from now on
    return { userId, owner: ownerOfUser(userId), key, body, quote, origin: originOf(request) }
  }
}

function keyOf(header: string | string[] | undefined): string {
  if (typeof header !== 'string' || checkKey(header).length > 0) throw errors.keyRequired()
  return header
}
