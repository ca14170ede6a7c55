/**
 * Who may have the last piece: the rules, pure. Each takes what is known of one order and of the products it touches and answers what
 * is to be written; the store reads and writes it in one transaction.
 */
export interface Line {
  sku: string
  quantity: number
}

/** Pieces set aside. They end as `sold`, `released` (the order was cancelled) or `expired` (nobody paid in time). */
export interface Reservation extends Line {
  status: 'reserved' | 'sold' | 'released' | 'expired'
}

export interface OrderStock {
  /** Cancelled before or just now: nothing may be reserved for it any more. */
  isCancelled: boolean
  reservations: readonly Reservation[]
  /** What is left of each product that the order or its reservations name; products that do not exist are absent. */
  stockCounts: ReadonlyMap<string, number>
}

/** What is to be written. Everything or nothing of it. */
export interface Decision {
  /** Pieces to take from the stock. */
  take?: readonly Line[]
  /** Pieces to put back. */
  giveBack?: readonly Line[]
  /** The reservations as they are from now on. */
  reservations?: readonly Reservation[]
  isCancelled?: true
  /** What the order service is told. */
  announce?: Announcement
}

export type Announcement = { type: 'stock.reserved' } | { type: 'stock.rejected'; skus: string[] }

/** A paid order whose reservation had expired, and whose pieces are gone by now. A person has to decide; nothing is oversold. */
export class StockGone extends Error {
  override readonly name = 'StockGone'
  readonly skus: readonly string[]
  constructor(skus: readonly string[]) {
    super(`the order is paid, but there is not enough left of ${skus.join(', ')}`)
    this.skus = skus
  }
}

/** All lines or none. An order that was cancelled in the meantime gets nothing, and nobody is told: nobody waits for it. */
export function place(order: OrderStock, items: readonly Line[]): Decision {
  if (order.isCancelled || order.reservations.length > 0) return {}
  const lines = mergeLines(items)
  const missing = notInStock(order, lines)
  if (missing.length > 0) return { announce: { type: 'stock.rejected', skus: missing } }
  const reservations = lines.map((line) => ({ ...line, status: 'reserved' as const }))
  return { take: lines, reservations, announce: { type: 'stock.reserved' } }
}

/** What was reserved is sold. If it had expired, it is taken again if it is still there; throws StockGone if it is not. */
export function confirm(order: OrderStock, items: readonly Line[]): Decision {
  if (order.isCancelled) return {}
  const lines = mergeLines(items)
  const held = new Set(order.reservations.filter(isHeld).map(({ sku }) => sku))
  const take = lines.filter(({ sku }) => !held.has(sku))
  const missing = notInStock(order, take)
  if (missing.length > 0) throw new StockGone(missing)
  return { take, reservations: lines.map((line) => ({ ...line, status: 'sold' as const })) }
}

/** Puts back what is reserved, however often it is called. What is sold stays sold. */
export function cancel(order: OrderStock): Decision {
  return { ...letGo(order, 'released'), isCancelled: true }
}

/** As a cancel, but the order service hears of it: to an order that waits for its payment this is "out of stock". */
export function expire(order: OrderStock): Decision {
  const { giveBack, reservations } = letGo(order, 'expired')
  if (giveBack.length === 0) return {}
  return { giveBack, reservations, announce: { type: 'stock.rejected', skus: giveBack.map(({ sku }) => sku) } }
}

/** One line per product, in the order of the skus. */
export function mergeLines(items: readonly Line[]): Line[] {
  const quantities = new Map<string, number>()
  for (const { sku, quantity } of items) quantities.set(sku, (quantities.get(sku) ?? 0) + quantity)
  return [...quantities].map(([sku, quantity]) => ({ sku, quantity })).sort((a, b) => (a.sku < b.sku ? -1 : 1))
}

function letGo({ reservations }: OrderStock, status: 'released' | 'expired') {
  const open = reservations.filter((reservation) => reservation.status === 'reserved')
  return {
    giveBack: open.map(({ sku, quantity }) => ({ sku, quantity })),
    reservations: open.map((reservation) => ({ ...reservation, status })),
  }
}

const isHeld = ({ status }: Reservation) => status === 'reserved' || status === 'sold'

function notInStock({ stockCounts }: OrderStock, lines: readonly Line[]): string[] {
  return lines.filter(({ sku, quantity }) => (stockCounts.get(sku) ?? 0) < quantity).map(({ sku }) => sku)
}
