/** The service as processes: what only several of them, or their end, can show. */
import { randomUUID } from 'node:crypto'
import type { Identity } from '@shop/contracts/identity'
import type { OrderTimeline } from '@shop/contracts/order'
import { type RunningService, startService } from '@shop/test-kit/service'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { postAtOnce } from './at-once.fixture.ts'
import { startOrder } from './order.fixture.ts'
import { readEvents } from './orders/event-reader.fixture.ts'

/** Its servers are what is used of it; the processes are started here. */
const order = await startOrder()
const { customer, fill, prisma, identityOf, sayStock } = order
let instances: RunningService[]

beforeAll(async () => {
  order.prices.set('TEA-1', 450)
  instances = await Promise.all([1, 2].map(() => startService({ app: 'order', env: order.variables })))
})
afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.stop()))
  await order.stop()
})

it('1,000 identical checkouts at once at two processes are one order; the others hear its answer or that it is not there yet', async () => {
  const as = customer()
  await fill(as, 'TEA-1', 2)
  const key = randomUUID()
  const request = {
    path: '/api/orders',
    headers: { ...identityOf(as), 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ payment: { card: 'approve' } }),
  }
  const answers = await postAtOnce(
    Array.from({ length: 1_000 }, (_, index) => instances[index % 2]?.url as string),
    request,
  )
  expect(await prisma.order.count({ where: { userId: as.userId as string } })).toBe(1)
  const [again] = await postAtOnce([instances[0]?.url as string], request)
  const isRepeated = (answer: typeof again) => answer?.headers.get('idempotent-replayed') === 'true'
  expect([again?.status, isRepeated(again)]).toEqual([202, true])
  const accepted = answers.filter(({ status }) => status === 202)
  expect(accepted.filter((answer) => !isRepeated(answer))).toHaveLength(1)
  expect(new Set(accepted.map(({ text }) => text))).toEqual(new Set([again?.text]))
  for (const { status, headers, text } of answers.filter((answer) => answer.status !== 202)) {
    expect([status, JSON.parse(text).code]).toEqual([409, 'request-in-progress'])
    expect(headers.get('retry-after')).toBe('1')
  }
})

async function placed() {
  const as = customer()
  await fill(as, 'TEA-1', 1)
  const { id } = (await order.place(as)).json()
  const path = `/api/orders/${id}/events`
  return {
    as,
    id: id as string,
    read: (instance: RunningService | undefined, after?: number) =>
      readEvents(`${instance?.url}${path}`, identityOf(as), after),
  }
}
const patience = { timeout: 15_000, interval: 20 }
const steps = ['placed', 'reserved', 'payment-asked', 'payment-approved', 'confirmed']

it('an order is followed from either process, whichever works on it, and 204 keeps the browser away after the end', async () => {
  const { id, read } = await placed()
  const readers = await Promise.all(instances.map((instance) => read(instance)))
  for (const reader of readers) await expect.poll(() => reader.events.length, patience).toBe(1)
  await sayStock('stock.reserved', id)
  for (const reader of readers) {
    expect(await reader.over).toBe('ended')
    expect(reader.events.map(({ number, step }) => [number, step])).toEqual(steps.map((step, i) => [i + 1, step]))
    expect(reader.events.at(-1)?.status).toBe('confirmed')
  }
  expect((await read(instances[0], steps.length)).status).toBe(204)
  const late = await read(instances[1], 3)
  expect(await late.over).toBe('ended')
  expect(late.events.map(({ step }) => step)).toEqual(steps.slice(3))
})

it('only its buyer follows it, and only an administrator sees its timeline', async () => {
  const { as, id } = await placed()
  const [instance] = instances
  const stranger = await readEvents(`${instance?.url}/api/orders/${id}/events`, identityOf(customer()))
  expect(stranger.status).toBe(404)
  const ask = (who: Identity) => order.ask(`/api/orders/${id}/timeline`, { as: who })
  expect((await ask(as)).json().code).toBe('admin-only')
  const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'test' }
  expect((await order.ask(`/api/orders/${randomUUID()}/timeline`, { as: admin })).statusCode).toBe(404)
  expect((await ask(admin)).json()).toMatchObject({
    userId: as.userId,
    payment: null,
    refund: null,
    items: [{ number: 1 }],
  })
})

it('the stream of a process that is killed goes on at another one, without a gap and without a repetition', async () => {
  const [victim, successor] = [await startService({ app: 'order', env: order.variables }), instances[0]]
  const { id, read } = await placed()
  const first = await read(victim)
  await expect.poll(() => first.events.length, patience).toBe(1)
  await victim.kill('SIGKILL')
  expect(await first.over).toBe('broken off')
  await sayStock('stock.reserved', id)
  const second = await read(successor, first.events.at(-1)?.number)
  expect(await second.over).toBe('ended')
  expect([...first.events, ...second.events].map(({ step }) => step)).toEqual(steps)
})

it('a process that is told to stop ends its streams at once, with a hint when to come back', async () => {
  const leaver = await startService({ app: 'order', env: { ...order.variables, DRAIN_MS: '100' } })
  const { read } = await placed()
  const reader = await read(leaver)
  await expect.poll(() => reader.events.length, patience).toBe(1)
  const stopped = leaver.stop()
  expect(await reader.over).toBe('ended')
  expect(reader.text()).toMatch(/retry: \d+\n\n$/)
  expect(await stopped).toMatchObject({ code: 0 })
})

it('the timeline tells an administrator what happened, when, by whom, and by which event', async () => {
  const { as, id, read } = await placed()
  const eventId = randomUUID()
  await sayStock('stock.reserved', id, { id: eventId })
  expect(await (await read(instances[0])).over).toBe('ended')
  await order.cancel(as, id)
  const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'test' }
  const timeline = async () => (await order.ask(`/api/orders/${id}/timeline`, { as: admin })).json() as OrderTimeline
  await expect.poll(async () => (await timeline()).refund?.status, patience).toBe('done')
  const { items, payment, order: shown } = await timeline()
  expect(shown).toMatchObject({ id, status: 'cancelled', cancelReason: 'by-customer', refund: 'done' })
  expect(payment).toEqual({ status: 'approved', attempts: 1, reference: `sim_${id}` })
  expect(items.map(({ step, by }) => `${step} by ${by}`)).toEqual([
    'placed by customer',
    'reserved by catalog',
    'payment-asked by system',
    'payment-approved by payment-provider',
    'confirmed by payment-provider',
    'cancelled by customer',
    'refund-due by system',
    'refunded by payment-provider',
  ])
  expect(items[1]).toMatchObject({ cause: { type: 'stock.reserved', id: eventId }, status: 'reserved' })
  expect(items[5]).toMatchObject({ detail: { reason: 'by-customer' } })
  const toldIds = (await order.told(id)).map((event) => event.id)
  expect(items.flatMap(({ told }) => told?.id ?? [])).toEqual(toldIds)
  const known = ['order-test', ...instances.map(({ instanceId }) => instanceId)]
  for (const { instance } of items) expect(known).toContain(instance)
})
