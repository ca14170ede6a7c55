/** One request, followed through the order service, the streams, the catalog and back by its id. */
import { randomUUID } from 'node:crypto'
import type { OrderEvent } from '@shop/contracts/events'
import type { Identity } from '@shop/contracts/identity'
import type { OrderTimeline } from '@shop/contracts/order'
import type { DeadLetterDetail, DeadLetterPage } from '@shop/contracts/streams'
import { createLog } from '@shop/service-kit/telemetry/log'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCatalogBeside } from './catalog.fixture.ts'
import { startOrder } from './order.fixture.ts'
import { sweep } from './orders/deadline.ts'
import { createOrderStore } from './orders/store.ts'

const order = await startOrder({ ORDER_SWEEP_MS: '600000' })
const { prisma, told, sayStock, customer, fill, statusOf } = order
let catalog: Awaited<ReturnType<typeof startCatalogBeside>>

const refused = 13
beforeAll(async () => {
  catalog = await startCatalogBeside(order)
  await catalog.sell('TEA-1', 1_000)
  await catalog.refuse(refused)
  order.prices.set('TEA-1', 450)
})
afterAll(async () => {
  await catalog.stop()
  await order.stop()
})

const patience = { timeout: 30_000, interval: 50 }
const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'test' }
const newTrace = () => `00-${randomUUID().replaceAll('-', '')}-00f067aa0ba902b7-01`
const admins = async <Body>(path: string) => (await order.ask(path, { as: admin })).json() as Body

async function ordered({ quantity = 1, card = 'approve', traceparent = newTrace() } = {}) {
  const as = customer()
  await fill(as, 'TEA-1', quantity)
  const requestId = randomUUID()
  const headers = { 'x-request-id': requestId, traceparent, 'idempotency-key': randomUUID() }
  const response = await order.ask('/api/orders', { as, method: 'POST', body: { payment: { card } }, headers })
  expect(response.headers['x-request-id']).toBe(requestId)
  return { as, id: response.json().id as string, requestId, traceparent }
}
const originsOf = async (id: string) =>
  (await told(id)).map(({ type, requestId, traceparent }: OrderEvent) => ({ type, requestId, traceparent }))
const requestsOf = async (id: string) =>
  (await admins<OrderTimeline>(`/api/orders/${id}/timeline`)).items.map(({ step, requestId }) => [step, requestId])
const catalogLines = (id: string) =>
  catalog
    .log()
    .split('\n')
    .filter((line) => line.includes(id) && line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as { msg: string; type?: string; requestId?: string })

it('a checkout is found by its request id in the events, in the log of the catalog and in the timeline', async () => {
  const { as, id, requestId, traceparent } = await ordered()
  await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
  await expect
    .poll(() => originsOf(id), patience)
    .toEqual([
      { type: 'order.placed', requestId, traceparent },
      { type: 'order.confirmed', requestId, traceparent },
    ])
  await expect
    .poll(() => catalogLines(id).map((line) => [line.msg, line.type, line.requestId]), patience)
    .toEqual([
      ['event handled', 'order.placed', requestId],
      ['event handled', 'order.confirmed', requestId],
    ])
  expect(await requestsOf(id)).toEqual(
    ['placed', 'reserved', 'payment-asked', 'payment-approved', 'confirmed'].map((step) => [step, requestId]),
  )
  // Nothing of the person goes with it.
  expect(catalog.log()).not.toContain(as.userId)
})

it('a cancellation is the request that cancelled, also of the money that goes back after it', async () => {
  const { as, id, requestId } = await ordered()
  await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
  const cancelId = randomUUID()
  await order.ask(`/api/orders/${id}/cancel`, { as, method: 'POST', headers: { 'x-request-id': cancelId } })
  await expect
    .poll(async () => (await requestsOf(id)).slice(-3), patience)
    .toEqual([
      ['cancelled', cancelId],
      ['refund-due', cancelId],
      ['refunded', cancelId],
    ])
  await expect
    .poll(async () => (await originsOf(id)).map((event) => event.requestId), patience)
    .toEqual([requestId, requestId, cancelId])
})

it('what nobody asked for, a callback and a deadline, goes back to the request before it', async () => {
  const paidLater = await ordered({ card: 'callback' })
  await expect.poll(() => statusOf(paidLater.as, paidLater.id), patience).toBe('confirmed')
  expect((await requestsOf(paidLater.id)).at(-1)).toEqual(['confirmed', paidLater.requestId])

  const late = await ordered({ quantity: refused })
  await prisma.$executeRaw`UPDATE orders SET waiting_since = now() - interval '1 hour' WHERE id = ${late.id}::uuid`
  const log = createLog({ service: 'order', instanceId: 'order-test', level: 'silent' })
  await sweep({ store: createOrderStore(prisma, { instance: 'order-test' }), deadlineMs: 60_000, log })
  expect((await requestsOf(late.id)).at(-1)).toEqual(['cancelled', late.requestId])
  await expect
    .poll(async () => (await originsOf(late.id)).map((event) => event.requestId), patience)
    .toEqual([late.requestId, late.requestId])
})

it('a dead letter tells the request and the trace that it came from', async () => {
  const { id, requestId, traceparent } = await ordered({ quantity: refused })
  const letter = async () =>
    (await admins<DeadLetterPage>('/api/console/streams/order:events/dead?limit=100')).items.find(
      ({ key }) => key === id,
    )
  await expect.poll(letter, patience).toBeDefined()
  const detail = await admins<DeadLetterDetail>(`/api/console/streams/order:events/dead/${(await letter())?.id}`)
  expect(detail).toMatchObject({ type: 'order.placed', requestId, traceparent })
  const failures = catalogLines(id).filter(({ msg }) => msg === 'event failed')
  expect(failures).not.toEqual([])
  for (const failure of failures) expect(failure).toMatchObject({ requestId })
}, 60_000)

it('a trace context that is none is dropped; the order and its request id are as ever', async () => {
  const { as, id, requestId } = await ordered({ traceparent: '00-somebody-at-some-address-01' })
  await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
  await expect.poll(async () => (await originsOf(id)).length, patience).toBe(2)
  for (const event of await originsOf(id))
    expect(event).toEqual({ type: event.type, requestId, traceparent: undefined })
})

it('an answer that does not tell its origin goes back to the request before it too', async () => {
  const { as, id, requestId } = await ordered({ quantity: refused })
  await sayStock('stock.reserved', id)
  await expect.poll(() => statusOf(as, id), patience).toBe('confirmed')
  for (const [, found] of await requestsOf(id)) expect(found).toBe(requestId)
})
