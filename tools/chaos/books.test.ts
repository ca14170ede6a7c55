import { createHash, randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Books, type Check, compareBooks } from './books.ts'
import type { Tables } from './tables.ts'

/** One confirmed order of two lines, one that was cancelled after it was paid, and a line that is still in the cart. */
function balanced() {
  const userId = randomUUID()
  const [sold, off] = [randomUUID(), randomUUID()]
  const [soldKey, offKey] = [randomUUID(), randomUUID()]
  const order = { userId, totalCents: 700, createdMs: 2_000 }
  const books: Books = {
    journals: [
      {
        userId,
        purchases: [
          { key: soldKey, card: 'approve', orderIds: new Set([sold]) },
          { key: offKey, card: 'approve', orderIds: new Set([off]) },
        ],
        cartWrites: [
          { sku: 'A', quantity: 2, startMs: 1_000, doneMs: 1_010 },
          { sku: 'B', quantity: 1, startMs: 1_100, doneMs: 1_110 },
          { sku: 'C', quantity: 3, startMs: 5_000, doneMs: 5_010 },
        ],
        cart: { items: [{ sku: 'C', quantity: 3 }] },
      },
    ],
    stockBefore: new Map([
      ['A', 10],
      ['B', 10],
      ['C', 10],
    ]),
    stateKillsMs: [],
    streams: [{ stream: 'order:events', group: 'catalog', unreadCount: 0, pendingCount: 0, deadLetterCount: 0 }],
  }
  const event = (type: string, key: string, service = 'order') => ({
    service,
    eventId: randomUUID(),
    type,
    key,
    isPublished: true,
  })
  const outbox = [
    event('order.placed', sold),
    event('order.confirmed', sold),
    event('order.placed', off),
    event('order.cancelled', off),
    event('stock.reserved', sold, 'catalog'),
  ]
  const heardBy = (service: string) =>
    new Set(outbox.filter((one) => one.service !== service).map(({ eventId }) => eventId))
  const tables: Tables = {
    orders: [
      { ...order, id: sold, status: 'confirmed', lines: { A: 2, B: 1 }, refund: null },
      { ...order, id: off, status: 'cancelled', lines: { A: 1 }, refund: 'done' },
    ],
    records: [
      { userId, keyHash: digest(soldKey), orderId: sold },
      { userId, keyHash: digest(offKey), orderId: off },
    ],
    charges: [
      { key: sold, amountCents: 700, outcome: 'approved', refunded: false },
      { key: off, amountCents: 700, outcome: 'approved', refunded: true },
    ],
    reservations: [
      { orderId: sold, sku: 'A', quantity: 2, status: 'sold' },
      { orderId: sold, sku: 'B', quantity: 1, status: 'sold' },
      { orderId: off, sku: 'A', quantity: 1, status: 'released' },
    ],
    stock: new Map([
      ['A', 8],
      ['B', 9],
      ['C', 10],
    ]),
    outbox,
    inbox: new Map([
      ['catalog', heardBy('catalog')],
      ['order', heardBy('order')],
    ]),
  }
  return { books, tables, sold, off }
}

type Setting = ReturnType<typeof balanced>

describe('the books', () => {
  test('balance when every promise is kept, and each check has looked at something', () => {
    const { books, tables } = balanced()
    const checks = compareBooks(books, tables)
    expect(faultsOf(checks)).toEqual([])
    expect(checks.filter(({ lookedAtCount }) => lookedAtCount === 0)).toEqual([])
  })

  const planted: [name: string, plant: (setting: Setting) => void, found: RegExp][] = [
    [
      'a promised order that is not there',
      ({ tables }) => tables.orders.shift(),
      /^orders: each promised order exists.* lost/,
    ],
    [
      'two orders for one key',
      ({ books, off }) => books.journals[0]?.purchases[0]?.orderIds.add(off),
      /one per key doubled/,
    ],
    ['an order that no key was sent for', ({ tables }) => tables.records.pop(), /one per key wrong/],
    [
      'an order without an end',
      ({ tables }) => set(tables.orders[0], { status: 'reserved' }),
      /ended, with one event wrong/,
    ],
    ['an end that was not told', ({ tables }) => tables.outbox.splice(1, 1), /with one event lost/],
    [
      'an end that was told twice',
      ({ tables }) => tables.outbox.push({ ...must(tables.outbox[1]), eventId: randomUUID() }),
      /with one event doubled/,
    ],
    ['a confirmed order that is not paid', ({ tables }) => tables.charges.shift(), /^charges.* lost/],
    [
      'a cancelled order that keeps its money',
      ({ tables }) => set(tables.charges[1], { refunded: false }),
      /^charges.* wrong/,
    ],
    ['a charge of another sum', ({ tables }) => set(tables.charges[0], { amountCents: 701 }), /^charges.* wrong/],
    ['a refund that is still due', ({ tables }) => set(tables.orders[1], { refund: 'due' }), /^refunds.* wrong/],
    [
      'a refund that the provider does not know',
      ({ tables }) => set(tables.charges[1], { refunded: false }),
      /^refunds.* lost/,
    ],
    [
      'a line that was sold short',
      ({ tables }) => set(tables.reservations[0], { quantity: 1 }),
      /^reservations.* lost/,
    ],
    [
      'a cancelled order that keeps pieces',
      ({ tables }) => set(tables.reservations[2], { status: 'sold' }),
      /^reservations.* wrong/,
    ],
    ['a piece that is gone', ({ tables }) => tables.stock.set('C', 9), /^stock.* lost/],
    ['a piece that came back twice', ({ tables }) => tables.stock.set('A', 9), /^stock.* doubled/],
    [
      'an event that was not published',
      ({ tables }) => set(tables.outbox[0], { isPublished: false }),
      /^outboxes.* lost/,
    ],
    ['an event that was not processed', ({ tables }) => tables.inbox.delete('catalog'), /^inboxes.* lost/],
    ['a dead letter', ({ books }) => set(books.streams[0], { deadLetterCount: 1 }), /^streams.* wrong/],
    [
      'a line that vanished from a cart',
      ({ books }) => set(books.journals[0], { cart: { items: [] } }),
      /^carts.* lost/,
    ],
    [
      'a quantity that was never asked for',
      ({ books }) => set(books.journals[0], { cart: { items: [{ sku: 'C', quantity: 7 }] } }),
      /^carts.* wrong/,
    ],
  ]
  test.each(planted)('show %s', (_name, plant, found) => {
    const setting = balanced()
    plant(setting)
    expect(faultsOf(compareBooks(setting.books, setting.tables))).toEqual(
      expect.arrayContaining([expect.stringMatching(found)]),
    )
  })

  test('excuse a line that was put within the second before the state Redis was killed', () => {
    const { books, tables } = balanced()
    set(books.journals[0], { cart: { items: [] } })
    expect(faultsOf(compareBooks({ ...books, stateKillsMs: [5_500] }, tables))).toEqual([])
    expect(faultsOf(compareBooks({ ...books, stateKillsMs: [9_000] }, tables))).toHaveLength(1)
  })
})

function faultsOf(checks: readonly Check[]): string[] {
  return checks.flatMap(({ what, lost, doubled, wrong }) =>
    Object.entries({ lost, doubled, wrong }).flatMap(([kind, all]) => all.map((one) => `${what} ${kind} ${one}`)),
  )
}

function set<Row extends object>(row: Row | undefined, change: Partial<Row>) {
  Object.assign(must(row), change)
}

function must<Row>(row: Row | undefined): Row {
  if (row === undefined) throw new Error('the setting has no such row')
  return row
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
