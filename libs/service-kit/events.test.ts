import { StockEvent } from '@shop/contracts/events'
import { describe, expect, it } from 'vitest'
import { decodeEvent } from './events.ts'

const reserved = {
  id: '3f9f7f0e-3c53-4a39-9f5e-0b8f4a1f8c11',
  type: 'stock.reserved',
  occurredAtMs: 1,
  data: { orderId: '3f9f7f0e-3c53-4a39-9f5e-0b8f4a1f8c12' },
}
const decode = (type: string, body: string) => decodeEvent(StockEvent, { type, body })

describe('decodeEvent', () => {
  it('gives back an event that fits its schema', () => {
    expect(decode('stock.reserved', JSON.stringify(reserved))).toEqual({ status: 'event', event: reserved })
  })
  it('tells an unknown type apart from a broken event', () => {
    expect(decode('stock.counted', '{}')).toEqual({ status: 'unknown-type' })
  })
  it.each([
    ['text that is not JSON', '{'],
    ['a field of the wrong type', JSON.stringify({ ...reserved, data: { orderId: 7 } })],
    ['a type that is not the one on the envelope', JSON.stringify({ ...reserved, type: 'stock.rejected' })],
    ['nothing', 'null'],
  ])('calls %s undecodable', (_, body) => {
    expect(decode('stock.reserved', body).status).toBe('undecodable')
  })
})
