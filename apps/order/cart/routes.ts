/** The cart: look, put, take out. Guests have one too. */
import { Cart, CartItemInput } from '@shop/contracts/cart'
import { Sku } from '@shop/contracts/product'
import type { Server } from '@shop/service-kit/http/server'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import type { Carts } from './cart.ts'
import type { CartOwner } from './owner.ts'

const ItemParams = Type.Object({ sku: Sku }, { additionalProperties: false })

export function cartRoutes(server: Server, { carts, owner }: { carts: Carts; owner: CartOwner }) {
  server.get('/api/cart', { schema: { summary: 'Show the cart', response: { 200: Cart } } }, async (request, reply) =>
    cartOf(await owner.find(request, reply)),
  )

  server.put(
    '/api/cart/items/:sku',
    {
      schema: {
        summary: 'Put a product into the cart',
        params: ItemParams,
        body: CartItemInput,
        response: { 200: Cart },
      },
      config: { refusals: [errors.cartFull] },
    },
    async (request, reply) => {
      const found = await owner.findOrCreate(request, reply)
      await carts.set(found, request.params.sku, request.body.quantity)
      return cartOf(found)
    },
  )

  server.delete(
    '/api/cart/items/:sku',
    { schema: { summary: 'Take a product out of the cart', params: ItemParams, response: { 200: Cart } } },
    async (request, reply) => {
      const found = await owner.find(request, reply)
      if (found !== undefined) await carts.remove(found, request.params.sku)
      return cartOf(found)
    },
  )

  async function cartOf(found: string | undefined): Promise<Cart> {
    if (found === undefined) return { items: [] }
    const { lines, waiting } = await carts.look(found)
    return { items: lines, ...(waiting.length > 0 && { waitingItems: waiting }) }
  }
}
