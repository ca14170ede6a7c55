import { StockEvent } from '@shop/contracts/events'
import type { Message } from '@shop/redis-kit/stream'
import { describe, expect, it } from 'vitest'
import { createLog } from '../telemetry/log.ts'
import { decodeEvent, encodeEvent, settle } from './events.ts'

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
  it('reads what a newer release says besides', () => {
    const newer = { ...reserved, version: 2, data: { ...reserved.data, warehouse: { id: 7 } } }
    expect(decode('stock.reserved', JSON.stringify(newer))).toEqual({ status: 'event', event: newer })
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

const { id, type, data } = reserved
const origin = {
  requestId: 'f0f5b1a2-6a53-4b0e-9d43-0d3c0a2b7a11',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
}

describe('encodeEvent', () => {
  it('says what decodeEvent reads, and from which request it came', () => {
    const decoded = decode(type, encodeEvent({ id, type, data }, origin))
    expect(decoded).toEqual({ status: 'event', event: { ...reserved, occurredAtMs: expect.any(Number), ...origin } })
  })
  it('leaves out an origin that there is none of, or that is none', () => {
    const bare = { ...reserved, occurredAtMs: expect.any(Number) }
    expect(decode(type, encodeEvent({ id, type, data }))).toEqual({ status: 'event', event: bare })
    const broken = encodeEvent({ id, type, data }, { requestId: 'no id', traceparent: '00-x' })
    expect(decode(type, broken)).toEqual({ status: 'event', event: bare })
  })
})

describe('settle', () => {
  /** What a reader hands out, with a note of what became of it. */
  function handed(body: string, name = type) {
    const became: string[] = []
    const end = (how: string) => async () => {
      became.push(how)
      return how
    }
    const [ack, fail, reject] = [end('ack'), end('retry'), end('dead-letter')]
    const message = { eventId: id, key: 'order-1', type: name, body, deliveryCount: 2, ack, fail, reject }
    return { became, message: message as unknown as Message }
  }
  function logged() {
    const lines: string[] = []
    const destination = { write: (line: string) => void lines.push(line) }
    const log = createLog({ service: 'order', instanceId: 'order-1', destination })
    return { log, lines: () => lines.map((line) => JSON.parse(line)) }
  }
  const body = encodeEvent({ id, type, data }, origin)

  it('acks after the effect, with one line under the request’s id and nothing of the data', async () => {
    const { message, became } = handed(body)
    const { log, lines } = logged()
    await settle(message, { schema: StockEvent, handle: async () => became.push('effect'), log })
    expect(became).toEqual(['effect', 'ack'])
    const line = {
      msg: 'event handled',
      type,
      eventId: id,
      key: 'order-1',
      deliveryCount: 2,
      durationMs: expect.any(Number),
    }
    expect(lines()).toEqual([expect.objectContaining({ level: 'info', ...line, ...origin })])
    expect(JSON.stringify(lines())).not.toContain(data.orderId)
  })
  it('lets come again what fails, and says why under the same id', async () => {
    const { message, became } = handed(body)
    const { log, lines } = logged()
    const handle = () => Promise.reject(new RangeError('makes no sense'))
    await settle(message, { schema: StockEvent, handle, log })
    expect(became).toEqual(['retry'])
    const error = expect.objectContaining({ message: 'makes no sense' })
    expect(lines()).toEqual([
      expect.objectContaining({ level: 'warn', msg: 'event failed', outcome: 'retry', err: error, ...origin }),
    ])
  })
  it.each([
    ['puts aside what cannot be read', '{', type, ['dead-letter']],
    ['passes over what it does not know', '{}', 'stock.counted', ['ack']],
  ])('%s, without an effect', async (_, text, name, expected) => {
    const { message, became } = handed(text, name)
    const handle = () => Promise.reject(new Error('was handled'))
    await settle(message, { schema: StockEvent, handle, log: logged().log })
    expect(became).toEqual(expected)
  })
})
