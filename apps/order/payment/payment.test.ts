import { randomUUID } from 'node:crypto'
import { createAlarm } from '@shop/redis-kit/flow/alarm'
import { createPrismaAdapter } from '@shop/service-kit/storage/database'
import { createLog } from '@shop/service-kit/telemetry/log'
import { testDatabase } from '@shop/test-kit/postgres'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { startOrder } from '../order.fixture.ts'
import { refunded } from '../orders/order.ts'
import { createOrderStore } from '../orders/store.ts'
import { PrismaClient } from '../prisma/client/client.ts'
import type { PaymentProvider } from './provider.ts'
import { giveMoneyBack } from './refunds.ts'
import { createSimulatedProvider } from './simulated-provider.ts'
import type { InTurn } from './turns.ts'

const order = await startOrder()
const { prisma, told, sayStock, customer, placed, cancel, statusOf } = order
beforeAll(() => void order.prices.set('TEA-1', 450))
afterAll(order.stop)

const patience = { timeout: 15_000, interval: 20 }
const signal = new AbortController().signal
const inTurn: InTurn = (work) => work()
const charge = (card: string) => ({ key: randomUUID(), amountCents: 900, currency: 'EUR', card })
const booksOf = (key: string) => prisma.simulatedCharge.findUniqueOrThrow({ where: { key } })
const countOf = async (id: string, type: string) => (await told(id)).filter((event) => event.type === type).length

describe('the simulated provider', () => {
  const provider = createSimulatedProvider(prisma)

  it('charges once under one key, and says the same for ever', async () => {
    const payment = charge('approve')
    const answers = await Promise.all(Array.from({ length: 10 }, () => provider.charge(payment, signal)))
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(await prisma.simulatedCharge.count({ where: { key: payment.key } })).toBe(1)
  })

  it('does not charge what was given back before', async () => {
    const payment = charge('approve')
    await provider.refund({ ...payment, reference: null }, signal)
    expect(await provider.charge(payment, signal)).toMatchObject({ outcome: 'declined' })
  })
})

describe('a card whose outcome comes later', () => {
  it('confirms the order when the provider calls, and once although it calls twice', async () => {
    const { as, id } = await placed(customer(), 'callback')
    await sayStock('stock.reserved', id)
    await expect.poll(async () => (await booksOf(id).catch(() => undefined))?.heardCount, patience).toBe(2)
    expect(await statusOf(as, id)).toBe('confirmed')
    expect(await booksOf(id)).toMatchObject({ callbackDueAt: null, attempts: 1 })
    expect(await prisma.payment.findUniqueOrThrow({ where: { orderId: id } })).toMatchObject({ status: 'approved' })
    await expect.poll(() => countOf(id, 'order.confirmed'), patience).toBe(1)
    const { callbackId } = await booksOf(id)
    expect(await prisma.inboxEvent.count({ where: { eventId: callbackId } })).toBe(1)
  })

  it('gives the money back when the customer cancels before the provider calls', async () => {
    const { as, id } = await placed(customer(), 'callback')
    await sayStock('stock.reserved', id)
    await expect.poll(() => prisma.payment.count({ where: { orderId: id, status: 'pending' } }), patience).toBe(1)
    await cancel(as, id)
    await expect.poll(async () => (await booksOf(id)).heardCount, patience).toBe(2)
    const isBack = async () => (await order.ask(`/api/orders/${id}`, { as })).json().refund
    await expect.poll(isBack, patience).toBe('done')
    expect(await statusOf(as, id)).toBe('cancelled')
    expect((await booksOf(id)).refunded).toBe(true)
    expect(await countOf(id, 'order.confirmed')).toBe(0)
  })
})

describe('money that is due', () => {
  it('is given back in the end although the provider fails, by one instance at a time, and not again', async () => {
    const database = await testDatabase('order')
    const books = new PrismaClient({ adapter: createPrismaAdapter(database.url, { name: 'test' }) })
    const orderId = await cancelledOrder(books)
    const calls = { count: 0, atOnce: 0, mostAtOnce: 0 }
    const provider: PaymentProvider = {
      ...createSimulatedProvider(books),
      async refund(...call) {
        calls.count += 1
        calls.mostAtOnce = Math.max(calls.mostAtOnce, ++calls.atOnce)
        await createSimulatedProvider(books).refund(...call)
        calls.atOnce -= 1
        if (calls.count < 3) throw new Error('the answer was lost')
      },
    }
    const stopping = new AbortController()
    const alarm = createAlarm()
    const orders = createOrderStore(books, { instance: 'test' })
    const log = createLog({ service: 'test', instanceId: 'test', level: 'silent' })
    const loop = giveMoneyBack({
      prisma: books,
      provider,
      inTurn,
      alarm,
      orders,
      log,
      paymentTimeoutMs: 1_000,
      retryBaseMs: 1,
    })
    const running = [loop(stopping.signal), loop(stopping.signal)]
    const refund = () => books.refund.findUniqueOrThrow({ where: { orderId } })
    const look = async () => {
      alarm.ring()
      return (await refund()).status
    }
    await expect.poll(look, patience).toBe('done')
    stopping.abort()
    await Promise.all(running)
    expect(await refund()).toMatchObject({ attempts: 3, round: 1 })
    expect(calls).toMatchObject({ count: 3, mostAtOnce: 1 })
    expect(await books.timelineEntry.findMany({ where: { orderId } })).toMatchObject([{ step: 'refunded', number: 1 }])
    await books.$disconnect()
  })
})

it('a refund is due at once by the clock of Postgres, although the clock of the instance is an hour ahead', async () => {
  const { url } = await testDatabase('order')
  const books = new PrismaClient({ adapter: createPrismaAdapter(url, { name: 'test' }) })
  onTestFinished(() => books.$disconnect())
  const orderId = await cancelledOrder(books)
  onTestFinished(() => void vi.useRealTimers())
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 })
  const orders = createOrderStore(books, { instance: 'test' })
  await orders.update(orderId, () => ({ refund: 'due', steps: [{ step: 'refund-due', by: 'customer' }] }))
  expect(await books.$queryRaw`SELECT due_at <= now() AS "isDue" FROM refunds`).toEqual([{ isDue: true }])
})

it('a refund that another instance gives back does not stay a failure of this one', async () => {
  const { url } = await testDatabase('order')
  const books = new PrismaClient({ adapter: createPrismaAdapter(url, { name: 'test' }) })
  const orderId = await cancelledOrder(books)
  const failing = new Set<string>()
  const pulse = {
    ok: (part = '') => void failing.delete(part),
    failed: (_error: unknown, part = '') => void failing.add(part),
  }
  const provider = { refund: () => Promise.reject(new Error('the provider is away')) } as unknown as PaymentProvider
  const [alarm, orders] = [createAlarm(), createOrderStore(books, { instance: 'test' })]
  const log = createLog({ service: 'test', instanceId: 'test', level: 'silent' })
  const loop = giveMoneyBack({ prisma: books, provider, inTurn, alarm, orders, log, paymentTimeoutMs: 60_000 })
  const stopping = new AbortController()
  const running = loop(stopping.signal, pulse)
  await expect.poll(() => [...failing], patience).toEqual(['provider'])
  await orders.update(orderId, (found) => refunded(found, 1))
  const look = () => {
    alarm.ring()
    return [...failing]
  }
  await expect.poll(look, patience).toEqual([])
  stopping.abort()
  await running
  await books.$disconnect()
})

async function cancelledOrder(prisma: PrismaClient): Promise<string> {
  const id = randomUUID()
  const ids = { id, userId: randomUUID(), cartId: randomUUID() }
  const status = { status: 'cancelled', cancelReason: 'by-customer', confirmedAt: new Date() }
  await prisma.order.create({
    data: {
      ...ids,
      ...status,
      totalCents: 900,
      currency: 'EUR',
      card: 'approve',
      payment: { create: { status: 'approved' } },
      refund: { create: {} },
    },
  })
  return id
}
