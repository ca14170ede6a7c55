/** The cart: look, put, take out. Guests have one too. */
import { Cart, CartItemInput } from '@shop/contracts/cart'
import { Sku } from '@shop/contracts/product'
import type { Server } from '@shop/service-kit/server'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Carts } from './cart.ts'
import type { CartOwner, FoundCart } from './owner.ts'

const ItemParams = Type.Object({ sku: Sku })

export function cartRoutes(server: Server, { carts, owner }: { carts: Carts; owner: CartOwner }) {
  server.get('/api/cart', { schema: { response: { 200: Cart } } }, async (request, reply) =>
    cartOf(await owner.find(request, reply)),
  )

  server.put(
    '/api/cart/items/:sku',
    { schema: { params: ItemParams, body: CartItemInput, response: { 200: Cart } } },
    async (request, reply) => {
      const found = await owner.findOrCreate(request, reply)
      await carts.set(found.owner, request.params.sku, request.body.quantity)
      return cartOf(found)
    },
  )

  server.delete(
    '/api/cart/items/:sku',
    { schema: { params: ItemParams, response: { 200: Cart } } },
    async (request, reply) => cartOf(await takeOut(request.params.sku, request, reply)),
  )

  /** Also out of what waits; and what still waits comes in, for there is room now. */
  async function takeOut(sku: string, request: FastifyRequest, reply: FastifyReply): Promise<FoundCart> {
    const found = await owner.find(request, reply)
    if (found.owner !== undefined) await carts.remove(found.owner, sku)
    if (found.waiting === undefined) return found
    await carts.remove(found.waiting.owner, sku)
    return owner.find(request, reply)
  }

  async function cartOf({ owner, waiting }: FoundCart): Promise<Cart> {
    const items = owner === undefined ? [] : (await carts.contents(owner)).lines
    return { items, ...(waiting && { waitingItems: waiting.lines }) }
  }
}
