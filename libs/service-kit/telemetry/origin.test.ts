import { describe, expect, it } from 'vitest'
import { originIn, originOf } from './origin.ts'

const requestId = 'f0f5b1a2-6a53-4b0e-9d43-0d3c0a2b7a11'
const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

describe('the origin', () => {
  it('of a request is its id and its trace context, and nothing else of it', () => {
    const headers = { traceparent, tracestate: 'vendor=ada', cookie: 'sid=1', 'x-shop-identity': 'token' }
    expect(originOf({ id: requestId, headers })).toEqual({ requestId, traceparent })
    expect(originOf({ id: requestId, headers: {} })).toEqual({ requestId })
  })

  it('goes from event to event unchanged', () => {
    expect(originIn({ ...originIn({ requestId, traceparent }) })).toEqual({ requestId, traceparent })
    expect(originIn({})).toEqual({})
  })

  it.each([
    ['nothing', ''],
    ['too short', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7'],
    ['too long', `${traceparent}-extra`],
    ['in capitals', traceparent.toUpperCase()],
    ['of the forbidden version', traceparent.replace('00-', 'ff-')],
    ['without a trace', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
    ['without a parent', `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`],
    ['followed by a line', `${traceparent}\n`],
    ['no text', 7],
    ['sent twice', [traceparent, traceparent]],
  ])('has no trace context that is %s, and its id all the same', (_, broken) => {
    expect(originIn({ requestId, traceparent: broken })).toEqual({ requestId })
  })

  it.each(['short', 'x'.repeat(65), 'ada@example.com', `${requestId}\n`, 7, null])('has no id like %j', (broken) => {
    expect(originIn({ requestId: broken, traceparent })).toEqual({ traceparent })
  })
})
