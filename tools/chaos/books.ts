/**
 * The books of the shop, compared when all has settled: what shoppers were promised, what each service has written in Postgres, and what
 * is left on the streams. Each check names what is lost (promised or paid, and not there), doubled, or wrong.
 */
import { createHash } from 'node:crypto'
import type { CartWrite, Journal, Purchase } from './shopper.ts'
import type { Tables } from './tables.ts'

export interface Check {
  what: string
  /** How many things were looked at: a check of nothing has shown nothing. */
  lookedAtCount: number
  lost: string[]
  doubled: string[]
  wrong: string[]
}

export interface Books {
  journals: readonly Journal[]
  /** Stock of each product before the first order. */
  stockBefore: ReadonlyMap<string, number>
  /** When the state Redis was killed: it may lose the second before. On the clock of the journals. */
  stateKillsMs: readonly number[]
  /** What readers have not finished, and what they have dead-lettered, by stream and group. */
  streams: readonly StreamState[]
}

export interface StreamState {
  stream: string
  group: string
  unreadCount: number
  pendingCount: number
  deadLetterCount: number
}

/** What a process kill may take from an append-only file that is flushed every second, and a moment for the kill itself. */
const stateLossMs = 2_500
/** Events whose effect is guarded by an inbox row, and whose inbox it is. What order hears is guarded by the state of the order. */
const readers: Record<string, string> = {
  'order.placed': 'catalog',
  'order.confirmed': 'catalog',
  'order.cancelled': 'catalog',
}

/** Pure: what was read is compared, and nothing is read. */
export function compareBooks(books: Books, tables: Tables): Check[] {
  return [
    promisedOrders(books.journals, tables),
    ends(tables),
    charges(tables),
    refunds(tables),
    reservations(tables),
    stock(tables, books.stockBefore),
    outboxes(tables),
    inboxes(tables),
    streams(books.streams),
    carts(books, tables),
  ]
}

function promisedOrders(journals: readonly Journal[], { orders, records }: Tables): Check {
  const byId = new Map(orders.map((order) => [order.id, order]))
  const byKey = new Map(records.map(({ userId, keyHash, orderId }) => [`${userId} ${keyHash}`, orderId]))
  const purchases = journals.flatMap(({ userId, purchases }) => purchases.map((purchase) => ({ userId, purchase })))
  const promised = purchases.flatMap(({ purchase }) => [...purchase.orderIds])
  const recordOf = (userId: string | undefined, { key }: Purchase) => byKey.get(`${userId} ${digest(key)}`)
  const keyed = new Set(purchases.map(({ userId, purchase }) => recordOf(userId, purchase)))
  return check('orders: each promised order exists, one per key', promised.length, {
    lost: promised.filter((id) => !byId.has(id)),
    doubled: purchases.filter(({ purchase }) => purchase.orderIds.size > 1).map(({ purchase }) => purchase.key),
    wrong: [
      ...orders.filter(({ id }) => !keyed.has(id)).map(({ id }) => `${id} has a key that was never sent`),
      ...purchases.flatMap(({ userId, purchase }) =>
        [...purchase.orderIds]
          .filter((id) => recordOf(userId, purchase) !== id)
          .map((id) => `${id} belongs to another key`),
      ),
    ],
  })
}

function ends({ orders, outbox }: Tables): Check {
  const told = Map.groupBy(outbox, ({ type, key }) => `${type} ${key}`)
  const ended = orders.filter(({ status }) => status === 'confirmed' || status === 'cancelled')
  return check('orders: each has ended, with one event', orders.length, {
    lost: ended.filter(({ id, status }) => !told.has(`order.${status} ${id}`)).map(({ id }) => id),
    doubled: [...told].filter(([, events]) => events.length > 1).map(([name]) => name),
    wrong: orders.filter((order) => !ended.includes(order)).map(({ id, status }) => `${id} is ${status}`),
  })
}

/** The order's id is the key of its charge. */
function charges({ orders, charges }: Tables): Check {
  const byKey = new Map(charges.map((charge) => [charge.key, charge]))
  const known = new Set(orders.map(({ id }) => id))
  const paid = (id: string) => byKey.get(id)?.outcome === 'approved' && !byKey.get(id)?.refunded
  const confirmed = orders.filter(({ status }) => status === 'confirmed')
  return check('charges: confirmed orders are paid in full, cancelled ones are not', orders.length, {
    lost: confirmed.filter(({ id }) => !paid(id)).map(({ id }) => `${id} is confirmed but not paid`),
    wrong: [
      ...orders
        .filter(({ id, status }) => status === 'cancelled' && paid(id))
        .map(({ id }) => `${id} is cancelled but paid`),
      ...charges.filter(({ key }) => !known.has(key)).map(({ key }) => `${key} is charged without an order`),
      ...confirmed
        .filter(({ id, totalCents }) => byKey.get(id) && byKey.get(id)?.amountCents !== totalCents)
        .map(({ id }) => `${id} is charged a different amount`),
    ],
  })
}

function refunds({ orders, charges }: Tables): Check {
  const refunded = new Set(charges.filter((charge) => charge.refunded).map(({ key }) => key))
  const due = orders.filter(({ refund }) => refund !== null)
  return check('refunds: each due refund is paid', due.length, {
    lost: due.filter(({ id, refund }) => refund === 'done' && !refunded.has(id)).map(({ id }) => id),
    wrong: due.filter(({ refund }) => refund !== 'done').map(({ id, refund }) => `${id} is ${refund}`),
  })
}

function reservations({ orders, reservations }: Tables): Check {
  const held = Map.groupBy(
    reservations.filter(({ status }) => status === 'sold' || status === 'reserved'),
    ({ orderId }) => orderId,
  )
  const known = new Set(orders.map(({ id }) => id))
  const linesOf = (id: string) => Object.fromEntries((held.get(id) ?? []).map(({ sku, quantity }) => [sku, quantity]))
  const confirmed = orders.filter(({ status }) => status === 'confirmed')
  return check('reservations: each line of a confirmed order is sold', reservations.length, {
    lost: confirmed.filter(({ id, lines }) => !isSame(linesOf(id), lines)).map(({ id }) => id),
    wrong: [
      ...orders
        .filter(({ id, status }) => status === 'cancelled' && held.has(id))
        .map(({ id }) => `${id} is cancelled but holds pieces`),
      ...reservations
        .filter(({ status }) => status === 'reserved')
        .map(({ orderId }) => `${orderId} is still reserved`),
      ...[...held.keys()].filter((id) => !known.has(id)).map((id) => `${id} holds pieces but is not an order`),
    ],
  })
}

function stock({ reservations, stock }: Tables, before: ReadonlyMap<string, number>): Check {
  const held = new Map<string, number>()
  for (const { sku, quantity, status } of reservations) {
    if (status === 'sold' || status === 'reserved') held.set(sku, (held.get(sku) ?? 0) + quantity)
  }
  const difference = (sku: string) => (stock.get(sku) ?? 0) + (held.get(sku) ?? 0) - (before.get(sku) ?? 0)
  const skus = [...before.keys()]
  return check('stock: sold and remaining pieces add up to the initial stock', skus.length, {
    lost: skus.filter((sku) => difference(sku) < 0).map((sku) => `${sku}: ${-difference(sku)}`),
    doubled: skus.filter((sku) => difference(sku) > 0).map((sku) => `${sku}: ${difference(sku)}`),
    wrong: skus.filter((sku) => (stock.get(sku) ?? 0) < 0).map((sku) => `${sku} is below zero`),
  })
}

function outboxes({ outbox }: Tables): Check {
  return check('outboxes: each event is published', outbox.length, {
    lost: outbox
      .filter(({ isPublished }) => !isPublished)
      .map(({ service, type, eventId }) => `${service} ${type} ${eventId}`),
  })
}

/** Their primary key is group and event, so nothing can be in them twice; a doubled effect shows in stock and charges. */
function inboxes({ outbox, inbox }: Tables): Check {
  const expected = outbox.filter(({ type }) => readers[type] !== undefined)
  return check('inboxes: each event is processed', expected.length, {
    lost: expected
      .filter(({ type, eventId }) => !inbox.get(readers[type] as string)?.has(eventId))
      .map(({ type, key }) => `${type} of ${key}`),
  })
}

function streams(states: readonly StreamState[]): Check {
  const bad = (what: string, countOf: (state: StreamState) => number) =>
    states
      .filter((state) => countOf(state) > 0)
      .map((state) => `${state.stream}, ${state.group}: ${countOf(state)} ${what}`)
  return check('streams: read to the end, no dead letters', states.length, {
    wrong: [
      ...bad('unread', ({ unreadCount }) => unreadCount),
      ...bad('pending', ({ pendingCount }) => pendingCount),
      ...bad('dead letters', ({ deadLetterCount }) => deadLetterCount),
    ],
  })
}

/** A line that was answered with 200 is in the cart or in an order, unless its buyer has changed it since. */
function carts({ journals, stateKillsMs }: Books, { orders }: Tables): Check {
  const last = journals.flatMap(({ userId, cart, cartWrites }) =>
    [...Map.groupBy(cartWrites, ({ sku }) => sku).values()].map((writes) => ({
      userId,
      inCart: new Map(
        [...(cart?.items ?? []), ...(cart?.waitingItems ?? [])].map(({ sku, quantity }) => [sku, quantity]),
      ),
      writes,
      write: writes.at(-1) as CartWrite,
    })),
  )
  const kept = last.filter(
    ({ write }) => write.doneMs !== undefined && write.quantity > 0 && !isAtRisk(write, stateKillsMs),
  )
  const wasOrdered = (userId: string | undefined, { sku, startMs }: CartWrite) =>
    orders.some((order) => order.userId === userId && order.createdMs >= startMs - 1 && order.lines[sku] !== undefined)
  const attempted = (writes: readonly CartWrite[], quantity: number) =>
    writes.some((write) => write.quantity === quantity)
  return check('carts: each line is in the cart or in an order', kept.length, {
    lost: kept
      .filter(({ userId, inCart, write }) => !inCart.has(write.sku) && !wasOrdered(userId, write))
      .map(({ userId, write }) => `${write.sku} of ${userId}`),
    wrong: last
      .filter(
        ({ inCart, write, writes }) => inCart.has(write.sku) && !attempted(writes, inCart.get(write.sku) as number),
      )
      .map(
        ({ userId, inCart, write }) =>
          `${write.sku} of ${userId}: ${inCart.get(write.sku)} pieces were never requested`,
      ),
  })
}

function isAtRisk({ doneMs = 0 }: CartWrite, killsMs: readonly number[]): boolean {
  return killsMs.some((killMs) => doneMs > killMs - stateLossMs && doneMs <= killMs)
}

function check(what: string, lookedAtCount: number, faults: Partial<Pick<Check, 'lost' | 'doubled' | 'wrong'>>): Check {
  return { what, lookedAtCount, lost: [], doubled: [], wrong: [], ...faults }
}

function isSame(a: Record<string, number>, b: Record<string, number>): boolean {
  const skus = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...skus].every((sku) => a[sku] === b[sku])
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
