import { describe, expect, it } from 'vitest'
import {
  cancelByCustomer,
  type Decision,
  linesReturned,
  type OrderState,
  paymentAnswered,
  refunded,
  stockGone,
  stockRejected,
  stockReserved,
  timedOut,
} from './order.ts'

const windowMs = 60_000
const state = (parts: Partial<OrderState> = {}): OrderState => ({
  status: 'pending',
  confirmedAt: null,
  payment: null,
  refund: null,
  cartReturn: null,
  ...parts,
})
const reference = 'charge-1'
const asked = { status: 'asked', attempts: 1 } as const
const stepsOf = ({ steps }: Decision) => steps.map(({ step }) => step)

describe('payment', () => {
  it('is asked when stock is reserved, and again with the next attempt when the word is repeated', () => {
    const first = stockReserved(state())
    expect(first).toMatchObject({ status: 'reserved', payment: { status: 'asked', attempts: 1 } })
    const second = stockReserved(state({ status: 'reserved', payment: asked }))
    expect(second).toMatchObject({ payment: { status: 'asked', attempts: 2 }, steps: [{ step: 'payment-asked' }] })
  })

  it('is not asked for again while the provider is to call back, nor for an order that is settled', () => {
    expect(stepsOf(stockReserved(state({ status: 'reserved', payment: { ...asked, status: 'pending' } })))).toEqual([])
    expect(stepsOf(stockReserved(state({ status: 'confirmed', payment: { ...asked, status: 'approved' } })))).toEqual(
      [],
    )
    expect(stepsOf(stockReserved(state({ status: 'cancelled' })))).toEqual([])
  })

  it.each(['asked', 'pending'] as const)('that is approved confirms an order of which it was %s', (status) => {
    const order = state({ status: 'reserved', payment: { ...asked, status } })
    const decision = paymentAnswered(order, { outcome: 'approved', reference })
    expect(decision).toMatchObject({ status: 'confirmed', payment: { status: 'approved' }, tell: 'order.confirmed' })
  })

  it('that is announced after it was answered changes nothing: a callback may overtake the answer', () => {
    const order = state({ status: 'confirmed', confirmedAt: new Date(), payment: { ...asked, status: 'approved' } })
    expect(stepsOf(paymentAnswered(order, { outcome: 'pending', reference }))).toEqual([])
  })

  it('that is declined cancels, and there is nothing to give back', () => {
    const decision = paymentAnswered(state({ status: 'reserved', payment: asked }), { outcome: 'declined', reference })
    expect(decision).toMatchObject({ status: 'cancelled', cancelReason: 'payment-declined', tell: 'order.cancelled' })
    expect(decision.refund).toBeUndefined()
  })

  it('for an order that was cancelled meanwhile goes back, also when a refund was done before it', () => {
    const order = state({ status: 'cancelled', payment: asked, refund: { status: 'done', round: 1 } })
    expect(paymentAnswered(order, { outcome: 'approved', reference })).toMatchObject({ refund: 'due' })
    expect(stepsOf(paymentAnswered(order, { outcome: 'declined', reference }))).toEqual(['payment-declined'])
  })
})

describe('cancelling', () => {
  it('gives back what may have been charged: from the moment the provider is asked', () => {
    const cancel = (order: OrderState) => cancelByCustomer(order, { nowMs: 0, windowMs })
    expect(cancel(state()).refund).toBeUndefined()
    expect(cancel(state({ status: 'reserved', payment: asked })).refund).toBe('due')
  })

  it('of a confirmed order works until the window is over, to the millisecond', () => {
    const order = state({ status: 'confirmed', confirmedAt: new Date(0), payment: { ...asked, status: 'approved' } })
    const at = (nowMs: number) => cancelByCustomer(order, { nowMs, windowMs })
    expect(at(windowMs - 1)).toMatchObject({ status: 'cancelled', cancelReason: 'by-customer', refund: 'due' })
    expect(at(windowMs)).toEqual({ steps: [] })
  })

  it('by the catalog says why, and leaves a confirmed order alone unless its pieces are gone', () => {
    expect(stockRejected(state(), 'out-of-stock').cancelReason).toBe('out-of-stock')
    const expired = stockRejected(state({ status: 'reserved', payment: asked }), 'reservation-expired')
    expect(expired).toMatchObject({ cancelReason: 'reservation-expired', refund: 'due' })
    const confirmed = state({
      status: 'confirmed',
      confirmedAt: new Date(0),
      payment: { ...asked, status: 'approved' },
    })
    expect(stockRejected(confirmed, 'reservation-expired')).toEqual({ steps: [] })
    expect(stockGone(confirmed)).toMatchObject({ cancelReason: 'reservation-expired', refund: 'due' })
  })
})

describe('the lines of an order that is off', () => {
  it('go back into the cart, unless its buyer has cancelled it', () => {
    const reserved = state({ status: 'reserved', payment: asked })
    const ends = [
      stockRejected(state(), 'out-of-stock'),
      stockRejected(reserved, 'reservation-expired'),
      paymentAnswered(reserved, { outcome: 'declined', reference }),
      timedOut(reserved),
      stockGone(state({ status: 'confirmed', confirmedAt: new Date(0), payment: { ...asked, status: 'approved' } })),
    ]
    for (const end of ends) expect(end).toMatchObject({ status: 'cancelled', cartReturn: 'due' })
    expect(cancelByCustomer(state(), { nowMs: 0, windowMs }).cartReturn).toBeUndefined()
  })

  it('are back once', () => {
    const off = state({ status: 'cancelled', cartReturn: 'due' })
    expect(linesReturned(off, 'done')).toMatchObject({ cartReturn: 'done', steps: [{ step: 'lines-returned' }] })
    for (const cartReturn of ['done', 'no-room', null] as const) {
      expect(linesReturned({ ...off, cartReturn }, 'done')).toEqual({ steps: [] })
    }
  })
})

describe('a deadline', () => {
  it('ends what is pending or reserved, with a reason of its own and the money back that may have been taken', () => {
    const end = { status: 'cancelled', cancelReason: 'timed-out', tell: 'order.cancelled' }
    expect(timedOut(state())).toMatchObject({ ...end, steps: [{ step: 'cancelled', by: 'system' }] })
    expect(timedOut(state()).refund).toBeUndefined()
    expect(timedOut(state({ status: 'reserved', payment: asked }))).toMatchObject({ ...end, refund: 'due' })
  })

  it('means nothing to an order that has come to its end', () => {
    const payment = { ...asked, status: 'approved' } as const
    expect(timedOut(state({ status: 'confirmed', confirmedAt: new Date(0), payment }))).toEqual({ steps: [] })
    expect(timedOut(state({ status: 'cancelled', payment }))).toEqual({ steps: [] })
  })

  it('is found to have been too early when the approval comes after it: the money goes back', () => {
    const order = state({ status: 'cancelled', payment: asked, refund: { status: 'done', round: 1 } })
    expect(paymentAnswered(order, { outcome: 'approved', reference })).toMatchObject({ refund: 'due' })
    expect(stepsOf(stockReserved(state({ status: 'cancelled' })))).toEqual([])
  })
})

/** What may happen, in any order and any number of times; the provider's answers only after it was asked. */
const inputs: Record<string, (order: OrderState) => Decision> = {
  stockReserved,
  approved: (order) => (order.payment ? paymentAnswered(order, { outcome: 'approved', reference }) : { steps: [] }),
  declined: (order) => (order.payment ? paymentAnswered(order, { outcome: 'declined', reference }) : { steps: [] }),
  pending: (order) => (order.payment ? paymentAnswered(order, { outcome: 'pending', reference }) : { steps: [] }),
  rejected: (order) => stockRejected(order, 'reservation-expired'),
  gone: stockGone,
  cancelled: (order) => cancelByCustomer(order, { nowMs: 1, windowMs }),
  refunded: (order) => refunded(order, order.refund?.round ?? 0),
  timedOut,
  returned: (order) => linesReturned(order, 'done'),
}

interface World {
  order: OrderState
  told: string[]
}

/** As the store writes it. */
function step({ order, told }: World, decision: Decision): World {
  const {
    status = order.status,
    payment = order.payment,
    cartReturn = order.cartReturn,
    refund,
    steps,
    tell,
  } = decision
  if (steps.length === 0) return { order, told }
  const confirmedAt = status === 'confirmed' ? new Date(0) : order.confirmedAt
  const round = (order.refund?.round ?? 0) + (refund === 'due' ? 1 : 0)
  return {
    order: { status, payment, confirmedAt, cartReturn, refund: refund ? { status: refund, round } : order.refund },
    told: tell ? [...told, tell] : told,
  }
}

/** Every sequence of so many inputs; returns the first that breaks a promise. */
function counterexample(rules: typeof inputs, length: number): string[] | undefined {
  const open: { world: World; path: string[] }[] = [{ world: { order: state(), told: [] }, path: [] }]
  const seen = new Set<string>()
  while (open.length > 0) {
    const { world, path } = open.pop() as (typeof open)[0]
    if (isBroken(world)) return path
    const name = JSON.stringify([world, path.length])
    if (path.length === length || seen.has(name)) continue
    seen.add(name)
    for (const [input, rule] of Object.entries(rules)) {
      open.push({ world: step(world, rule(world.order)), path: [...path, input] })
    }
  }
  return undefined
}

/** Money is kept only for what is sent, and the others are told of each end once, in an order that makes sense. */
function isBroken({ order: { status, payment, refund, confirmedAt, cartReturn }, told }: World): boolean {
  const isKept = payment?.status === 'approved' && refund === null
  const ends = { pending: [[]], reserved: [[]], confirmed: [['order.confirmed']], cancelled: cancelledEnds }[status]
  return (
    (status === 'cancelled' && isKept) ||
    (status !== 'cancelled' && cartReturn !== null) ||
    (status === 'confirmed' && payment?.status !== 'approved') ||
    (confirmedAt === null) === told.includes('order.confirmed') ||
    !ends.some((end) => JSON.stringify(end) === JSON.stringify(told))
  )
}
const cancelledEnds = [['order.cancelled'], ['order.confirmed', 'order.cancelled']]

describe('whatever comes, however often and in whatever order', () => {
  it('an order that is off keeps no money, and nobody is told of an end twice', () => {
    expect(counterexample(inputs, 9)).toBeUndefined()
  })

  it('is noticed when a cancel forgets the charge that is under way: the test above can fail', () => {
    const careless = {
      ...inputs,
      cancelled: (order: OrderState) => ({ ...inputs.cancelled?.(order), refund: undefined }),
    }
    expect(counterexample(careless as typeof inputs, 9)).toBeDefined()
  })

  it('is noticed when the deadline ends what is confirmed without giving the money back', () => {
    const rash = {
      ...inputs,
      timedOut: (order: OrderState) => ({ ...timedOut({ ...order, status: 'pending' }), refund: undefined }),
    }
    expect(counterexample(rash as typeof inputs, 9)).toBeDefined()
  })

  it('is noticed when an answer that comes twice counts twice', () => {
    const hasty = {
      ...inputs,
      approved: (order: OrderState) =>
        paymentAnswered({ ...order, status: 'reserved' }, { outcome: 'approved', reference }),
    }
    expect(counterexample(hasty, 9)).toBeDefined()
  })
})
