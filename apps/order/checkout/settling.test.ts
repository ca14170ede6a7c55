import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CartLine } from '@shop/contracts/cart'
import type { Identity } from '@shop/contracts/identity'
import type { Order } from '@shop/contracts/order'
import { createRandom } from '@shop/test-kit/random'
import { afterAll, describe, expect, it } from 'vitest'
import { startOrder } from '../order.fixture.ts'

const order = await startOrder()
const { prices, customer, fill, put, place, sayStock, cancel } = order
for (const sku of ['TEA-1', 'MUG-1', ...Array.from({ length: 200 }, (_, i) => `NEW-${i}`)]) prices.set(sku, 450)
afterAll(order.stop)

const patience = { timeout: 15_000, interval: 20 }
const cartOf = async (as: Identity) => (await order.ask('/api/cart', { as })).json()
const orderOf = async (as: Identity, id: string): Promise<Order> =>
  (await order.ask(`/api/orders/${id}`, { as })).json()
const linesOf = (items: readonly CartLine[]) => items.map(({ sku, quantity }) => ({ sku, quantity }))

describe('a line that is put into the cart while it is ordered', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

  it(`is in the order or still in the cart, and so are all others: 200 tries within 25 ms (SEED=${seed})`, async () => {
    const random = createRandom(seed)
    const as = customer()
    let inOrder = 0
    for (let attempt = 0; attempt < 200; attempt++) {
      const [first, second] = ['TEA-1', `NEW-${attempt}`]
      await fill(as, first, 2)
      const placing = place(as)
      await sleep(random() * 25)
      const [placed, added] = await Promise.all([placing, put(as, second, 3)])
      expect([attempt, placed.statusCode, added.statusCode]).toEqual([attempt, 202, 200])
      const ordered = linesOf(placed.json().items)
      const left = linesOf((await cartOf(as)).items)
      const all = [...ordered, ...left].filter(({ sku }) => sku === first || sku === second)
      expect([attempt, all.sort((a, b) => (a.sku < b.sku ? -1 : 1))]).toEqual([
        attempt,
        [
          { sku: second, quantity: 3 },
          { sku: first, quantity: 2 },
        ],
      ])
      if (ordered.some(({ sku }) => sku === second)) inOrder += 1
      for (const { sku } of left) await order.ask(`/api/cart/items/${sku}`, { as, method: 'DELETE' })
    }
    expect(inOrder).toBeLessThan(200) // some came too late for the order: what this is about
  }, 120_000)
})

describe('the lines of an order that came to nothing', () => {
  async function placedOf(lines: readonly CartLine[], card: 'approve' | 'decline' = 'approve', as = customer()) {
    for (const { sku, quantity } of lines) await fill(as, sku, quantity)
    const { id } = (await place(as, randomUUID(), card)).json()
    expect((await cartOf(as)).items).toEqual([])
    return { as, id: id as string }
  }
  const lines = [
    { sku: 'MUG-1', quantity: 1 },
    { sku: 'TEA-1', quantity: 2 },
  ]
  const returned = (as: Identity, id: string) =>
    expect.poll(async () => (await orderOf(as, id)).cartReturn, patience).toBe('done')

  it('are in the cart again when the card is declined, and the same cart can be paid by another card', async () => {
    const { as, id } = await placedOf(lines, 'decline')
    await sayStock('stock.reserved', id)
    await returned(as, id)
    expect(await orderOf(as, id)).toMatchObject({ status: 'cancelled', cancelReason: 'payment-declined' })
    expect(await cartOf(as)).toEqual({ items: lines })
    const again = await place(as)
    expect([again.statusCode, linesOf(again.json().items)]).toEqual([202, lines])
    expect((await cartOf(as)).items).toEqual([])
  })

  it('are in the cart again when something is out of stock, also what was in stock', async () => {
    const { as, id } = await placedOf(lines)
    await sayStock('stock.rejected', id)
    await returned(as, id)
    expect((await orderOf(as, id)).cancelReason).toBe('out-of-stock')
    expect(await cartOf(as)).toEqual({ items: lines })
  })

  it('join what was put in meanwhile, the larger quantity of each', async () => {
    const { as, id } = await placedOf(lines)
    await fill(as, 'TEA-1', 1)
    await fill(as, 'NEW-1', 7)
    await sayStock('stock.rejected', id)
    await returned(as, id)
    expect(await cartOf(as)).toEqual({ items: [lines[0], { sku: 'NEW-1', quantity: 7 }, lines[1]] })
  })

  it('wait in sight when the cart is full, and are not ordered before there is room', async () => {
    const { as, id } = await placedOf(lines)
    for (let i = 0; i < 49; i++) await fill(as, `NEW-${i}`, 1)
    await sayStock('stock.rejected', id)
    await returned(as, id)
    const full = await cartOf(as)
    expect([full.items.length, full.waitingItems.length]).toEqual([50, 1])
    const next = await place(as)
    expect(next.json().items).toHaveLength(50)
    const after = await cartOf(as)
    expect(after).toEqual({ items: full.waitingItems })
  })

  it('come back once, however often the word comes', async () => {
    const { as, id } = await placedOf(lines)
    await sayStock('stock.rejected', id)
    await returned(as, id)
    for (const { sku } of lines) await order.ask(`/api/cart/items/${sku}`, { as, method: 'DELETE' })
    // As if the process had died before it could write down that they are back.
    await order.prisma.order.update({ where: { id }, data: { cartReturn: 'due', cartDueAt: new Date(0) } })
    await sayStock('stock.rejected', id)
    await returned(as, id)
    expect((await cartOf(as)).items).toEqual([])
  })

  it('stay out when the buyer has cancelled it herself', async () => {
    const { as, id } = await placedOf(lines)
    await cancel(as, id)
    expect((await orderOf(as, id)).cartReturn).toBeUndefined()
    const isSettled = async () => (await order.prisma.order.findUniqueOrThrow({ where: { id } })).cartDueAt
    await expect.poll(isSettled, { timeout: 20_000, interval: 50 }).toBeNull()
    expect((await cartOf(as)).items).toEqual([])
  })

  it('come back when Redis is there again, if it was away', async () => {
    const { as, id } = await placedOf(lines)
    await order.redis.kill('SIGKILL')
    await order.prisma.order.update({
      where: { id },
      data: { status: 'cancelled', cancelReason: 'out-of-stock', cartReturn: 'due', cartDueAt: new Date(0) },
    })
    // An attempt is written down before it is made.
    const dueAt = async () => Number((await order.prisma.order.findUniqueOrThrow({ where: { id } })).cartDueAt)
    await expect.poll(dueAt, patience).toBeGreaterThan(0)
    expect((await orderOf(as, id)).cartReturn).toBe('due')
    await order.redis.restart()
    await expect.poll(async () => (await orderOf(as, id)).cartReturn, { timeout: 40_000, interval: 100 }).toBe('done')
    expect(await cartOf(as)).toEqual({ items: lines })
  }, 60_000)
})
