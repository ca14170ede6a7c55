import { randomUUID } from 'node:crypto'
import { startService } from '@shop/test-kit/service'
import { afterAll, expect, it } from 'vitest'
import { startCatalog } from './catalog.fixture.ts'
import { keys } from './keys.ts'

/** Its servers are what is used of it; the processes are started by the tests. */
const catalog = await startCatalog()
const { addProducts, stockOf, orders, announcements, prisma } = catalog
afterAll(() => catalog.stop())

it('the process serves what the app serves, and ends in order when it is told to', async () => {
  await addProducts([{ sku: 'TEA-1' }])
  const service = await startService({ app: 'catalog', env: catalog.variables })
  const response = await fetch(`${service.url}/api/products/TEA-1`, { headers: catalog.identityOf('guest') })
  expect(response.status).toBe(200)
  expect(await response.json()).toMatchObject({ sku: 'TEA-1' })
  const metrics = await fetch(`http://127.0.0.1:${service.internalPort}/metrics`)
  const page = await metrics.text()
  expect(page).toContain('route="/api/products/:sku"')
  expect(page).toMatch(/^cache_reads_total\{cache="products",source="\S+".* 1$/m)
  expect(await service.stop()).toMatchObject({ code: 0 })
})

it('every order is answered once although one of two processes is killed in the middle of them', {
  timeout: 120_000,
}, async () => {
  const orderCount = 120
  const aboutStock = { topic: keys.stock.name }
  await addProducts([{ sku: 'TEA-2', stockCount: 100 }])
  const processes = await Promise.all([1, 2].map(() => startService({ app: 'catalog', env: catalog.variables })))
  const [victim, survivor] = processes
  const answered = () => prisma.outboxEvent.count({ where: { ...aboutStock, publishedAt: { not: null } } })

  const publishing = Promise.all(Array.from({ length: orderCount }, publishOrder))
  await expect.poll(answered, { timeout: 30_000, interval: 1 }).toBeGreaterThan(10)
  await victim?.kill('SIGKILL')
  await publishing

  await expect.poll(answered, { timeout: 90_000, interval: 100 }).toBe(orderCount)
  const types = await prisma.outboxEvent.groupBy({
    by: ['type'],
    where: aboutStock,
    _count: true,
    orderBy: { type: 'asc' },
  })
  expect(types.map(({ type, _count }) => [type, _count])).toEqual([
    ['stock.rejected', 20],
    ['stock.reserved', 100],
  ])
  expect(await stockOf('TEA-2')).toBe(0)
  expect(await prisma.reservation.count({ where: { sku: 'TEA-2' } })).toBe(100)
  expect((await announcements.stats('order')).lengthCount).toBe(orderCount)
  await survivor?.stop()
})

function publishOrder() {
  const [id, orderId] = [randomUUID(), randomUUID()]
  const data = { orderId, userId: orderId, items: [{ sku: 'TEA-2', quantity: 1 }], totalCents: 500 }
  const body = JSON.stringify({ id, type: 'order.placed', occurredAtMs: Date.now(), data })
  return orders.publish({ id, key: orderId, type: 'order.placed', body })
}
