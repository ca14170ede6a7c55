/**
 * Who may have the last piece: the rules, pure. Each takes what is known of one order and of the products it touches and answers what
 * is to be written; the store reads and writes it in one transaction.
 */
export interface Line {
  sku: string
  quantity: number
}

/** Pieces set aside. They become `sold`, and end as that, as `released` (the order was cancelled) or `expired` (nobody paid in time). */
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

export type Announcement =
  | { type: 'stock.reserved' }
  | { type: 'stock.rejected'; skus: string[]; reason: 'out-of-stock' | 'reservation-expired' }
  | { type: 'stock.gone'; skus: string[] }

/** All lines or none. An order that was cancelled in the meantime gets nothing, and nobody is told: nobody waits for it. */
export function place(order: OrderStock, items: readonly Line[]): Decision {
  if (order.isCancelled || order.reservations.length > 0) return {}
  const lines = mergeLines(items)
  const missing = notInStock(order, lines)
  if (missing.length > 0) return { announce: { type: 'stock.rejected', skus: missing, reason: 'out-of-stock' } }
  const reservations = lines.map((line) => ({ ...line, status: 'reserved' as const }))
  return { take: lines, reservations, announce: { type: 'stock.reserved' } }
}

/**
 * What was reserved is sold. If it had expired, it is taken again if it is still there; if it is not, nothing is oversold: the order
 * service hears of it, takes the order back and gives back the money.
 */
export function confirm(order: OrderStock, items: readonly Line[]): Decision {
  if (order.isCancelled || order.reservations.some(({ status }) => status === 'released')) return {}
  const lines = mergeLines(items)
  const held = new Set(order.reservations.filter(isHeld).map(({ sku }) => sku))
  const take = lines.filter(({ sku }) => !held.has(sku))
  const missing = notInStock(order, take)
  if (missing.length > 0) return { announce: { type: 'stock.gone', skus: missing } }
  return { take, reservations: lines.map((line) => ({ ...line, status: 'sold' as const })) }
}

/**
 * Puts back what is reserved, however often it is called. What is sold comes back only when the order says that it was confirmed before:
 * then whoever paid gets the money back. Heard before the confirmation, it keeps that from taking anything.
 */
export function cancel(order: OrderStock, { wasConfirmed = false } = {}): Decision {
  return { ...letGo(order, 'released', wasConfirmed ? ['reserved', 'sold'] : ['reserved']), isCancelled: true }
}

/** As a cancel, but the order service hears of it: an order that still waits for its payment is off then. */
export function expire(order: OrderStock): Decision {
  const { giveBack, reservations } = letGo(order, 'expired', ['reserved'])
  if (giveBack.length === 0) return {}
  const skus = giveBack.map(({ sku }) => sku)
  return { giveBack, reservations, announce: { type: 'stock.rejected', skus, reason: 'reservation-expired' } }
}

/** One line per product, in the order of the skus. */
export function mergeLines(items: readonly Line[]): Line[] {
  const quantities = new Map<string, number>()
  for (const { sku, quantity } of items) quantities.set(sku, (quantities.get(sku) ?? 0) + quantity)
  return [...quantities].map(([sku, quantity]) => ({ sku, quantity })).sort((a, b) => (a.sku < b.sku ? -1 : 1))
}

function letGo({ reservations }: OrderStock, status: Reservation['status'], from: readonly Reservation['status'][]) {
  const open = reservations.filter((reservation) => from.includes(reservation.status))
  return {
    giveBack: open.map(({ sku, quantity }) => ({ sku, quantity })),
    reservations: open.map((reservation) => ({ ...reservation, status })),
  }
}

const isHeld = ({ status }: Reservation) => status === 'reserved' || status === 'sold'

function notInStock({ stockCounts }: OrderStock, lines: readonly Line[]): string[] {
  return lines.filter(({ sku, quantity }) => (stockCounts.get(sku) ?? 0) < quantity).map(({ sku }) => sku)
}
