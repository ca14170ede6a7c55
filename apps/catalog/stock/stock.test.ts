import { describe, expect, it } from 'vitest'
import { cancel, confirm, expire, mergeLines, type OrderStock, place, type Reservation } from './stock.ts'

const order = (parts: Partial<OrderStock> = {}): OrderStock => ({
  isCancelled: false,
  reservations: [],
  stockCounts: new Map([
    ['TEA', 5],
    ['CUP', 1],
  ]),
  ...parts,
})
const reserved = (status: Reservation['status'] = 'reserved'): Reservation[] => [
  { sku: 'CUP', quantity: 1, status },
  { sku: 'TEA', quantity: 2, status },
]
const items = [
  { sku: 'TEA', quantity: 2 },
  { sku: 'CUP', quantity: 1 },
]

describe('placing an order', () => {
  it('takes all lines and says so', () => {
    const lines = [items[1], items[0]]
    expect(place(order(), items)).toEqual({
      take: lines,
      reservations: reserved(),
      announce: { type: 'stock.reserved' },
    })
  })

  it('takes nothing when one line is short, and names the ones that are', () => {
    const tooMany = [...items, { sku: 'CUP', quantity: 1 }, { sku: 'GONE-1', quantity: 1 }]
    const rejected = { type: 'stock.rejected', skus: ['CUP', 'GONE-1'], reason: 'out-of-stock' }
    expect(place(order(), tooMany)).toEqual({ announce: rejected })
  })

  it('does nothing and tells nobody when the order was cancelled before', () => {
    expect(place(order({ isCancelled: true }), items)).toEqual({})
  })

  it('does nothing when the order has its reservation already', () => {
    expect(place(order({ reservations: reserved() }), items)).toEqual({})
  })
})

describe('confirming an order', () => {
  it('sells what is reserved without touching the stock', () => {
    expect(confirm(order({ reservations: reserved() }), items)).toEqual({ take: [], reservations: reserved('sold') })
  })

  it('takes the pieces again when the reservation had expired and they are still there', () => {
    const decision = confirm(order({ reservations: reserved('expired') }), items)
    expect(decision).toEqual({ take: mergeLines(items), reservations: reserved('sold') })
  })

  it('takes nothing when the reservation had expired and the pieces are gone, and tells order which', () => {
    const late = order({ reservations: reserved('expired'), stockCounts: new Map([['TEA', 1]]) })
    expect(confirm(late, items)).toEqual({ announce: { type: 'stock.gone', skus: ['CUP', 'TEA'] } })
  })

  it('does nothing for an order that was cancelled, whether that is remembered by its mark or by its reservations', () => {
    expect(confirm(order({ isCancelled: true, reservations: reserved() }), items)).toEqual({})
    expect(confirm(order({ reservations: reserved('released') }), items)).toEqual({})
  })

  it('changes nothing more when it is repeated', () => {
    expect(confirm(order({ reservations: reserved('sold') }), items)).toMatchObject({ take: [] })
  })
})

describe('cancelling and expiring', () => {
  it('gives back what is reserved', () => {
    expect(cancel(order({ reservations: reserved() }))).toEqual({
      giveBack: mergeLines(items),
      reservations: reserved('released'),
      isCancelled: true,
    })
  })

  it.each(['sold', 'released', 'expired'] as const)('gives back nothing of what is %s', (status) => {
    const settled = order({ reservations: reserved(status) })
    expect(cancel(settled)).toEqual({ giveBack: [], reservations: [], isCancelled: true })
    expect(expire(settled)).toEqual({})
  })

  it('gives back what is sold when the order says that it was confirmed, and nothing a second time', () => {
    expect(cancel(order({ reservations: reserved('sold') }), { wasConfirmed: true })).toEqual({
      giveBack: mergeLines(items),
      reservations: reserved('released'),
      isCancelled: true,
    })
    const again = cancel(order({ reservations: reserved('released') }), { wasConfirmed: true })
    expect(again).toEqual({ giveBack: [], reservations: [], isCancelled: true })
  })

  it('leaves a mark when nothing is reserved yet', () => {
    expect(cancel(order())).toMatchObject({ isCancelled: true })
  })

  it('tells order when a reservation expires, and only then', () => {
    expect(expire(order({ reservations: reserved() }))).toEqual({
      giveBack: mergeLines(items),
      reservations: reserved('expired'),
      announce: { type: 'stock.rejected', skus: ['CUP', 'TEA'], reason: 'reservation-expired' },
    })
    expect(expire(order())).toEqual({})
  })
})
