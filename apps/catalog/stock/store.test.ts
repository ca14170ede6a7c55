import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { startDatabase } from '../catalog.fixture.ts'
import { sweep } from './expiry.ts'
import { cancel, confirm, type Line, place } from './stock.ts'
import { createStockStore } from './store.ts'

const database = await startDatabase()
const { prisma, addProducts, stockOf } = database
afterAll(() => database.close())

const settings = { group: 'catalog', topic: 'catalog:stock', reservationTtlMs: 60_000 }
const stock = createStockStore(prisma, settings)
const rules = { place, confirm }

function send(event: keyof typeof rules, orderId: string, items: Line[], eventId: string = randomUUID()) {
  const skus = items.map(({ sku }) => sku)
  return stock.update({ orderId, eventId, skus, rule: (order) => rules[event](order, items) })
}
const sendCancel = (orderId: string, told: { wasConfirmed?: boolean } = {}) =>
  stock.update({ orderId, eventId: randomUUID(), rule: (order) => cancel(order, told) })
const statusesOf = async (orderId: string) =>
  (await prisma.reservation.findMany({ where: { orderId }, orderBy: { sku: 'asc' } })).map(({ status }) => status)
const announced = async (orderId: string) =>
  (await prisma.outboxEvent.findMany({ where: { key: orderId }, orderBy: { id: 'asc' } })).map(({ type }) => type)

let number = 0
async function newSkus(...stockCounts: number[]): Promise<string[]> {
  number += 1
  const products = stockCounts.map((stockCount, index) => ({ sku: `SKU-${number}-${index}`, stockCount }))
  await addProducts(products)
  return products.map(({ sku }) => sku)
}

describe('fifty orders for the last twenty pieces', () => {
  it('are served until none is left, and the others get nothing', async () => {
    const [tea = '', cup = ''] = await newSkus(20, 1000)
    const orders = Array.from({ length: 50 }, () => randomUUID())
    // Half of them name the products the other way round: with locks in the order of the items they would deadlock.
    const itemsOf = (index: number) => {
      const lines = [
        { sku: tea, quantity: 1 },
        { sku: cup, quantity: 2 },
      ]
      return index % 2 === 0 ? lines : lines.reverse()
    }
    await Promise.all(orders.map((orderId, index) => send('place', orderId, itemsOf(index))))
    expect(await stockOf(tea)).toBe(0)
    expect(await stockOf(cup)).toBe(1000 - 20 * 2)
    const answers = await Promise.all(orders.map(announced))
    expect(answers.filter(([type]) => type === 'stock.reserved')).toHaveLength(20)
    expect(answers.filter(([type]) => type === 'stock.rejected')).toHaveLength(30)
  })

  it('are oversold by a naive read and write: the test above can fail', async () => {
    const [tea = ''] = await newSkus(20)
    let soldCount = 0
    const naive = async () => {
      const { stockCount } = await prisma.product.findUniqueOrThrow({ where: { sku: tea } })
      if (stockCount < 1) return
      await prisma.product.update({ where: { sku: tea }, data: { stockCount: stockCount - 1 } })
      soldCount += 1
    }
    await Promise.all(Array.from({ length: 50 }, naive))
    expect(soldCount).toBeGreaterThan(20)
  })

  it('cannot make the stock negative even in SQL', async () => {
    const [tea = ''] = await newSkus(1)
    await expect(prisma.$executeRaw`UPDATE products SET stock_count = -1 WHERE sku = ${tea}`).rejects.toThrow(/check/)
  })
})

describe('one order', () => {
  it('gets all of its lines or none', async () => {
    const [tea = '', cup = ''] = await newSkus(5, 1)
    const orderId = randomUUID()
    const items = [
      { sku: tea, quantity: 2 },
      { sku: cup, quantity: 2 },
    ]
    await send('place', orderId, items)
    expect([await stockOf(tea), await stockOf(cup)]).toEqual([5, 1])
    expect(await statusesOf(orderId)).toEqual([])
    const [event] = await prisma.outboxEvent.findMany({ where: { key: orderId } })
    expect(JSON.parse(event?.body ?? '')).toMatchObject({ type: 'stock.rejected', data: { orderId, skus: [cup] } })
  })

  it('is served once however often the same event comes, at the same time too', async () => {
    const [tea = ''] = await newSkus(10)
    const [orderId, eventId] = [randomUUID(), randomUUID()]
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => send('place', orderId, [{ sku: tea, quantity: 3 }], eventId)),
    )
    expect(outcomes.filter(({ status }) => status === 'done')).toHaveLength(1)
    // Repetitions name the product as well, so that whoever died before the cache heard of it makes up for it.
    expect(outcomes.every(({ skus }) => skus[0] === tea)).toBe(true)
    expect(await stockOf(tea)).toBe(7)
    expect(await announced(orderId)).toEqual(['stock.reserved'])
  })

  it('that is cancelled gives everything back, once', async () => {
    const [tea = ''] = await newSkus(10)
    const orderId = randomUUID()
    await send('place', orderId, [{ sku: tea, quantity: 3 }])
    await Promise.all(Array.from({ length: 3 }, () => sendCancel(orderId)))
    expect(await stockOf(tea)).toBe(10)
    expect(await statusesOf(orderId)).toEqual(['released'])
  })

  it('that is cancelled before it is placed reserves nothing', async () => {
    const [tea = ''] = await newSkus(10)
    const orderId = randomUUID()
    await sendCancel(orderId)
    await send('place', orderId, [{ sku: tea, quantity: 3 }])
    expect(await stockOf(tea)).toBe(10)
    expect(await announced(orderId)).toEqual([])
  })

  it('that is placed and cancelled at the same moment leaks nothing', async () => {
    const [tea = ''] = await newSkus(100)
    const orders = Array.from({ length: 25 }, () => randomUUID())
    const placed = orders.map((orderId) => send('place', orderId, [{ sku: tea, quantity: 3 }]))
    await Promise.all([...placed, ...orders.map((orderId) => sendCancel(orderId))])
    expect(await stockOf(tea)).toBe(100)
    expect((await Promise.all(orders.map(statusesOf))).flat()).not.toContain('reserved')
  })

  it('that is cancelled after it was confirmed gives its pieces back, once, whichever is heard first', async () => {
    const [tea = ''] = await newSkus(100)
    const items = [{ sku: tea, quantity: 3 }]
    const steps = [
      (orderId: string) => send('place', orderId, items),
      (orderId: string) => send('confirm', orderId, items),
      (orderId: string) => sendCancel(orderId, { wasConfirmed: true }),
    ]
    for (const order of permutations(steps)) {
      const orderId = randomUUID()
      for (const step of [...order, steps[2] as (typeof steps)[0]]) await step(orderId)
      expect(await stockOf(tea)).toBe(100)
      expect(await statusesOf(orderId)).not.toContain('sold')
    }
    const orders = Array.from({ length: 20 }, () => randomUUID())
    await Promise.all(orders.flatMap((orderId) => steps.map((step) => step(orderId))))
    expect(await stockOf(tea)).toBe(100)
  })

  it('that is confirmed keeps its pieces through a cancel that does not know of it', async () => {
    const [tea = ''] = await newSkus(10)
    const orderId = randomUUID()
    const items = [{ sku: tea, quantity: 3 }]
    await send('place', orderId, items)
    await send('confirm', orderId, items)
    await sendCancel(orderId)
    expect(await stockOf(tea)).toBe(7)
    expect(await statusesOf(orderId)).toEqual(['sold'])
  })

  it('that fails half-way leaves no trace, so that the event can come again', async () => {
    const [tea = ''] = await newSkus(10)
    const [orderId, eventId] = [randomUUID(), randomUUID()]
    const broken = () => {
      throw new Error('half-way')
    }
    await expect(stock.update({ orderId, eventId, skus: [tea], rule: broken })).rejects.toThrow('half-way')
    expect((await send('place', orderId, [{ sku: tea, quantity: 1 }], eventId)).status).toBe('done')
  })
})

describe('a reservation that nobody paid for', () => {
  const shortLived = createStockStore(prisma, { ...settings, reservationTtlMs: 0 })
  const placeShortLived = (orderId: string, items: Line[]) =>
    shortLived.update({ orderId, skus: items.map(({ sku }) => sku), rule: (order) => place(order, items) })
  const forgotten: string[] = []
  const forget = async (skus: readonly string[]) => void forgotten.push(...skus)

  it('is given back and announced once, by however many instances', async () => {
    const [tea = '', kept = ''] = await newSkus(10, 10)
    const [orderId, current] = [randomUUID(), randomUUID()]
    await placeShortLived(orderId, [{ sku: tea, quantity: 4 }])
    await send('place', current, [{ sku: kept, quantity: 4 }])
    const counts = await Promise.all(Array.from({ length: 4 }, () => sweep({ stock: shortLived, forget })))
    expect(counts.reduce((sum, count) => sum + count)).toBe(1)
    expect([await stockOf(tea), await stockOf(kept)]).toEqual([10, 6])
    expect(await announced(orderId)).toEqual(['stock.reserved', 'stock.rejected'])
    expect(await statusesOf(orderId)).toEqual(['expired'])
    expect(forgotten).toEqual([tea])
  })

  it('is given back although that of another order cannot be', async () => {
    const [tea = '', mug = ''] = await newSkus(10, 10)
    const [bad, good] = [randomUUID(), randomUUID()]
    await placeShortLived(bad, [{ sku: tea, quantity: 4 }])
    await placeShortLived(good, [{ sku: mug, quantity: 4 }])
    const broken: typeof shortLived = {
      ...shortLived,
      updateIfIdle: (update) =>
        update.orderId === bad ? Promise.reject(new RangeError('broken')) : shortLived.updateIfIdle(update),
    }
    const failed: string[] = []
    await sweep({ stock: broken, forget, onFailed: (_, orderId) => failed.push(orderId) })
    expect(failed).toEqual([bad])
    expect([await stockOf(tea), await stockOf(mug)]).toEqual([6, 10])
    await sweep({ stock: shortLived, forget })
    expect(await stockOf(tea)).toBe(10)
  })

  it('is taken again when the payment comes late and there is enough', async () => {
    const [tea = ''] = await newSkus(10)
    const orderId = randomUUID()
    const items = [{ sku: tea, quantity: 4 }]
    await placeShortLived(orderId, items)
    await sweep({ stock: shortLived, forget })
    await send('confirm', orderId, items)
    expect(await stockOf(tea)).toBe(6)
    expect(await statusesOf(orderId)).toEqual(['sold'])
  })

  it('is told as gone when the payment comes late and the pieces are others’ by then: nothing is oversold', async () => {
    const [tea = ''] = await newSkus(4)
    const orderId = randomUUID()
    const items = [{ sku: tea, quantity: 4 }]
    await placeShortLived(orderId, items)
    await sweep({ stock: shortLived, forget })
    await send('place', randomUUID(), items)
    await send('confirm', orderId, items)
    expect(await announced(orderId)).toEqual(['stock.reserved', 'stock.rejected', 'stock.gone'])
    expect(await statusesOf(orderId)).toEqual(['expired'])
    await sendCancel(orderId, { wasConfirmed: true })
    expect(await stockOf(tea)).toBe(0)
  })
})

it('old cancellations are forgotten, recent ones are not', async () => {
  const [old, recent] = [randomUUID(), randomUUID()]
  const cancelledAt = new Date(Date.now() - 60_000)
  await prisma.cancelledOrder.createMany({ data: [{ orderId: old, cancelledAt }, { orderId: recent }] })
  await stock.forgetCancellations(30_000)
  const left = await prisma.cancelledOrder.findMany({ where: { orderId: { in: [old, recent] } } })
  expect(left.map(({ orderId }) => orderId)).toEqual([recent])
})

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]]
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]))
}
