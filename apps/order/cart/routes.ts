/** The cart: look, put, take out. Guests have one too. */
import { Cart, CartItemInput } from '@shop/contracts/cart'
import { Sku } from '@shop/contracts/product'
import type { Server } from '@shop/service-kit/server'
import { Type } from 'typebox'
import type { Carts } from './cart.ts'
import type { CartOwner } from './owner.ts'

const ItemParams = Type.Object({ sku: Sku })

export function cartRoutes(server: Server, { carts, owner }: { carts: Carts; owner: CartOwner }) {
  server.get('/api/cart', { schema: { response: { 200: Cart } } }, async (request, reply) =>
    cartOf(await owner.find(request, reply)),
  )

  server.put(
    '/api/cart/items/:sku',
    { schema: { params: ItemParams, body: CartItemInput, response: { 200: Cart } } },
    async (request, reply) => {
      const cart = await owner.findOrCreate(request, reply)
      await carts.set(cart, request.params.sku, request.body.quantity)
      return cartOf(cart)
    },
  )

  server.delete(
    '/api/cart/items/:sku',
    { schema: { params: ItemParams, response: { 200: Cart } } },
    async (request, reply) => {
      const cart = await owner.find(request, reply)
      if (cart !== undefined) await carts.remove(cart, request.params.sku)
      return cartOf(cart)
    },
  )

  async function cartOf(cart: string | undefined): Promise<Cart> {
    return { items: cart === undefined ? [] : (await carts.contents(cart)).lines }
  }
}
