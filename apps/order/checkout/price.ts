/** What a cart costs, at the catalog's prices. The client's word on money is never asked for. */
import type { CartLine } from '@shop/contracts/cart'
import type { OrderLine } from '@shop/contracts/order'
import type { Quote } from '@shop/contracts/product'

export type Priced =
  | { status: 'priced'; items: OrderLine[]; totalCents: number; currency: string }
  | { status: 'products-gone'; skus: string[] }

export function price(cart: readonly CartLine[], quote: Quote): Priced {
  const bySku = new Map(quote.items.map((item) => [item.sku, item]))
  const gone = cart.map(({ sku }) => sku).filter((sku) => !bySku.has(sku))
  if (gone.length > 0) return { status: 'products-gone', skus: gone }
  const items = cart.flatMap(({ sku, quantity }) => {
    const item = bySku.get(sku)
    return item ? [{ sku, name: item.name, quantity, unitPriceCents: item.priceCents }] : []
  })
  const totalCents = items.reduce((sum, { quantity, unitPriceCents }) => sum + quantity * unitPriceCents, 0)
  return { status: 'priced', items, totalCents, currency: quote.currency }
}
