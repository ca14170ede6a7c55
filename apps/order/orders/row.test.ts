import { OrderStatus } from '@shop/contracts/order'
import { describe, expect, it } from 'vitest'
import { centsOf, toDetail, toEntry, wordOf } from './row.ts'

const entry = {
  orderId: '018f5b7e-0000-7000-8000-000000000000',
  number: 1,
  at: new Date(0),
  step: 'placed',
  status: 'pending',
  by: 'customer',
  instance: 'order-1',
  causeType: null,
  causeId: null,
  toldType: null,
  toldId: null,
  detail: { requestId: 'request-1' },
}

describe('a row of the timeline', () => {
  it('is read as it is when the contract knows its words', () => {
    expect(toEntry(entry)).toEqual(entry)
  })

  it.each([{ step: 'shipped' }, { status: 'shipped' }, { by: 'carrier' }])('is refused with %j', (newer) => {
    expect(() => toEntry({ ...entry, ...newer })).toThrow(RangeError)
  })

  it.each([
    [
      { attempts: 2, outcome: 'done', isLast: true },
      { attempts: 2, outcome: 'done', isLast: true },
    ],
    [{ attempts: 2, parcels: ['a'], note: null }, { attempts: 2 }],
    [null, {}],
  ])('with the details %j shows %j', (stored, shown) => {
    expect(toDetail(stored)).toEqual(shown)
  })
})

it('a word that the contract does not have is named, with those that it has', () => {
  expect(() => wordOf(OrderStatus, 'shipped')).toThrow(
    '"shipped" is not one of pending, reserved, confirmed, cancelled',
  )
})

it('a sum that a number cannot hold exactly is refused', () => {
  expect(centsOf(BigInt(Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER)
  expect(() => centsOf(2n ** 53n)).toThrow(RangeError)
})
