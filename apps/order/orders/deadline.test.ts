/** Orders whose events were given up, with a catalog beside the order service that really gives one up. */
import { randomUUID } from 'node:crypto'
import type { Identity } from '@shop/contracts/identity'
import type { DeadLetter, StreamTopic } from '@shop/contracts/streams'
import { createLog } from '@shop/service-kit/telemetry/log'
import { startService } from '@shop/test-kit/service'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { startCatalogBeside } from '../catalog.fixture.ts'
import { startOrder } from '../order.fixture.ts'
import { sweep } from './deadline.ts'
import { stockReserved } from './order.ts'
import { createOrderStore } from './store.ts'

/** Its own loop does not look during a test, unless one says so: the tests call it when they are ready. */
const order = await startOrder({ ORDER_SWEEP_MS: '600000' })
const { prisma, told, sayStock, customer, placed, place, fill, statusOf } = order
beforeAll(() => void order.prices.set('TEA-1', 450))
afterAll(order.stop)

const patience = { timeout: 30_000, interval: 50 }
const deadlineMs = 60 * 60 * 1000
const log = createLog({ service: 'order', instanceId: 'order-test', level: 'silent' })
const store = createOrderStore(prisma, { instance: 'order-test' })
const lookForOverdue = () => sweep({ store, deadlineMs, log })
const orderOf = async (as: Identity, id: string) => (await order.ask(`/api/orders/${id}`, { as })).json()
const endsOf = async (id: string) =>
  (await told(id)).filter(({ type }) => type !== 'order.placed').map(({ type }) => type)

/** By Postgres' clock, as the service counts. */
const age = (ids: readonly string[], ms: number) =>
  prisma.$executeRaw`
    UPDATE orders SET waiting_since = now() - ${ms}::float8 * interval '1 millisecond' WHERE id = ANY(${ids}::uuid[])`

describe('an order past its deadline', () => {
  it('is cancelled while it is pending, and one that is not so old stays pending', async () => {
    const [old, young] = [await placed(), await placed()]
    await age([old.id], deadlineMs + 1_000)
    await age([young.id], deadlineMs / 2)
    expect(await lookForOverdue()).toBe(1)
    expect(await orderOf(old.as, old.id)).toMatchObject({ status: 'cancelled', cancelReason: 'timed-out' })
    expect((await orderOf(old.as, old.id)).refund).toBeUndefined()
    expect(await statusOf(young.as, young.id)).toBe('pending')
    await expect.poll(() => endsOf(old.id), patience).toEqual(['order.cancelled'])
    expect((await told(old.id)).at(-1)).toMatchObject({ data: { reason: 'timed-out', wasConfirmed: false } })
    const [last] = await prisma.timelineEntry.findMany({ where: { orderId: old.id, step: 'cancelled' } })
    expect(last).toMatchObject({ by: 'system', detail: { reason: 'timed-out' } })
  })

  it('is cancelled while it is reserved, and what the silent provider may have taken goes back', async () => {
    const { as, id } = await placed()
    await store.update(id, stockReserved)
    await age([id], deadlineMs + 1_000)
    expect(await lookForOverdue()).toBe(1)
    await expect.poll(() => orderOf(as, id), patience).toMatchObject({ cancelReason: 'timed-out', refund: 'done' })
  })

  it('stays as it is when it is confirmed, and when it is cancelled already', async () => {
    const [paid, off] = [await placed(), await placed()]
    await sayStock('stock.reserved', paid.id)
    await sayStock('stock.rejected', off.id)
    await expect.poll(() => statusOf(paid.as, paid.id), patience).toBe('confirmed')
    await expect.poll(() => statusOf(off.as, off.id), patience).toBe('cancelled')
    await age([paid.id, off.id], 10 * deadlineMs)
    expect(await lookForOverdue()).toBe(0)
    expect(await statusOf(paid.as, paid.id)).toBe('confirmed')
    expect(await orderOf(off.as, off.id)).toMatchObject({ cancelReason: 'out-of-stock' })
  })

  it('is cancelled once although several instances look at the same time', async () => {
    const ids = (await Promise.all(Array.from({ length: 20 }, () => placed()))).map(({ id }) => id)
    await age(ids, deadlineMs + 1_000)
    let endedCount = 0
    while ((await prisma.order.count({ where: { id: { in: ids }, status: 'pending' } })) > 0) {
      for (const count of await Promise.all(Array.from({ length: 4 }, lookForOverdue))) endedCount += count
    }
    expect(endedCount).toBe(ids.length)
    for (const id of ids) await expect.poll(() => endsOf(id), patience).toEqual(['order.cancelled'])
  })

  it('is passed over while somebody works on it, and is found to have moved on after that', async () => {
    const [busy, other] = [await placed(), await placed()]
    await age([busy.id], 2 * deadlineMs)
    await age([other.id], deadlineMs + 1_000)
    const [locked, finish] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const work = prisma.$transaction(
      async (tx) => {
        await tx.order.update({ where: { id: busy.id }, data: { status: 'reserved' } })
        locked.resolve()
        await finish.promise
        await tx.order.update({ where: { id: busy.id }, data: { status: 'confirmed', confirmedAt: new Date() } })
      },
      { timeout: 30_000 },
    )
    await locked.promise
    expect(await lookForOverdue()).toBe(1)
    expect(await statusOf(other.as, other.id)).toBe('cancelled')
    finish.resolve()
    await work
    expect(await lookForOverdue()).toBe(0)
    expect(await statusOf(busy.as, busy.id)).toBe('confirmed')
  })

  it('that cannot be cancelled holds up no other', async () => {
    const [stuck, other] = [await placed(), await placed()]
    await age([stuck.id], 2 * deadlineMs)
    await age([other.id], deadlineMs + 1_000)
    await prisma.timelineEntry.create({
      data: { orderId: stuck.id, number: 2, step: 'planted', status: 'pending', by: 'system', instance: 'test' },
    })
    expect(await lookForOverdue()).toBe(1)
    expect(await statusOf(other.as, other.id)).toBe('cancelled')
    expect(await statusOf(stuck.as, stuck.id)).toBe('pending')
    await prisma.timelineEntry.deleteMany({ where: { orderId: stuck.id, number: 2 } })
    expect(await lookForOverdue()).toBe(1)
  })
})

describe('an order.placed that the catalog has given up', () => {
  const sku = 'RARE-1'
  const quantity = 13
  const admin: Identity = { role: 'admin', userId: randomUUID(), session: 'test' }
  let catalog: Awaited<ReturnType<typeof startCatalogBeside>>
  beforeAll(async () => {
    order.prices.set(sku, 450)
    catalog = await startCatalogBeside(order)
    await catalog.sell(sku, 100)
    await catalog.refuse(quantity)
  })
  afterAll(() => catalog.stop())

  async function given(as: Identity): Promise<string> {
    await fill(as, sku, quantity)
    return (await place(as)).json().id
  }
  const admins = async <Body>(path: string, method: 'GET' | 'POST' = 'GET') =>
    (await order.ask(`/api/console/streams${path}`, { as: admin, method })).json() as Body
  const lettersOf = async (id: string) =>
    (await admins<{ items: DeadLetter[] }>('/order:events/dead')).items.filter(({ key }) => key === id)
  async function redrive(id: string) {
    for (const letter of await lettersOf(id)) await admins(`/order:events/dead/${letter.id}/redrive`, 'POST')
  }
  /** Until the catalog has nothing in hand and nothing before it. */
  async function idle() {
    const { items } = await admins<{ items: StreamTopic[] }>('')
    const group = items.find(({ topic }) => topic === 'order:events')?.groups.find(({ group }) => group === 'catalog')
    return (group?.lagCount ?? 1) + (group?.pendingCount ?? 1) + (group?.retryCount ?? 1)
  }

  it('is pending until its deadline, and redriving the dead letter after that keeps no piece for it', async () => {
    const [late, rescued] = [customer(), customer()]
    const ids = { late: await given(late), rescued: await given(rescued) }
    for (const id of Object.values(ids)) await expect.poll(() => lettersOf(id), patience).toHaveLength(1)

    // Control: whoever only waits waits for ever.
    expect(await lookForOverdue()).toBe(0)
    expect([await statusOf(late, ids.late), await statusOf(rescued, ids.rescued)]).toEqual(['pending', 'pending'])

    await age([ids.late], deadlineMs + 1_000)
    expect(await lookForOverdue()).toBe(1)
    expect(await orderOf(late, ids.late)).toMatchObject({ status: 'cancelled', cancelReason: 'timed-out' })
    await expect.poll(() => catalog.knowsCancelled(ids.late), patience).toBe(true)

    await catalog.refuseNothing()
    await Promise.all([redrive(ids.late), redrive(ids.rescued)])
    // Control: a redriven letter has its effect, for the order that was still pending.
    await expect.poll(() => statusOf(rescued, ids.rescued), patience).toBe('confirmed')
    await expect.poll(() => catalog.reservationsOf(ids.rescued), patience).toEqual(['sold'])
    await expect.poll(idle, patience).toBe(0)
    expect(await catalog.reservationsOf(ids.late)).toEqual([])
    expect(await catalog.stockOf(sku)).toBe(100 - quantity)
    expect(await orderOf(late, ids.late)).toMatchObject({ status: 'cancelled', cancelReason: 'timed-out' })
    expect(await lettersOf(ids.late)).toEqual([])
  }, 120_000)
})

it('a running service looks by itself, and counts what it has ended', async () => {
  const instance = await startService({ app: 'order', env: { ...order.variables, ORDER_SWEEP_MS: '50' } })
  onTestFinished(async () => void (await instance.stop()))
  const { as, id } = await placed()
  await age([id], 24 * 60 * 60 * 1000)
  await expect.poll(() => statusOf(as, id), patience).toBe('cancelled')
  // The answer is there with the commit, the line and the count a moment after it.
  await expect.poll(() => instance.log(), patience).toContain(id)
  const page = async () => (await fetch(`http://127.0.0.1:${instance.internalPort}/metrics`)).text()
  await expect.poll(page, patience).toMatch(/order_timed_out_total\{[^}]*\} 1\n/)
})
