/** The rules of an order: pure, no clock, no database. What an order may become, and what it costs. */
import type { CartLine } from '@shop/contracts/cart'
import type { OrderLine, OrderStatus } from '@shop/contracts/order'
import type { Quote } from '@shop/contracts/product'

/** From each status, the ones that may follow. */
const nextStatuses: Record<OrderStatus, readonly OrderStatus[]> = {
  pending: ['reserved', 'cancelled'],
  reserved: ['confirmed', 'cancelled'],
  confirmed: [],
  cancelled: [],
}

/** The statuses an order may be in to become `status`. */
export function statusesBefore(status: OrderStatus): OrderStatus[] {
  return (Object.keys(nextStatuses) as OrderStatus[]).filter((from) => nextStatuses[from].includes(status))
}

export type Priced =
  | { status: 'priced'; lines: OrderLine[]; totalCents: number; currency: string }
  | { status: 'products-gone'; skus: string[] }

/** Today's prices for what is in the cart. The client's word on money is never asked for. */
export function price(cart: readonly CartLine[], quote: Quote): Priced {
  const bySku = new Map(quote.items.map((item) => [item.sku, item]))
  const gone = cart.map(({ sku }) => sku).filter((sku) => !bySku.has(sku))
  if (gone.length > 0) return { status: 'products-gone', skus: gone }
  const lines = cart.flatMap(({ sku, quantity }) => {
    const item = bySku.get(sku)
    return item ? [{ sku, name: item.name, quantity, unitPriceCents: item.priceCents }] : []
  })
  const totalCents = lines.reduce((sum, line) => sum + line.quantity * line.unitPriceCents, 0)
  return { status: 'priced', lines, totalCents, currency: quote.currency }
}
