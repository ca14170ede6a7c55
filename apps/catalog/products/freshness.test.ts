import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import { startCatalog } from '../catalog.fixture.ts'
import { createProductStore } from './store.ts'

const catalog = await startCatalog()
const other = await catalog.startInstance()
const { ask, links, addProducts, prisma } = catalog
beforeAll(() => catalog.runLoops())
afterEach(() => Promise.all(Object.values(links).map((link) => link.heal())))
afterAll(async () => {
  await other.stop()
  await catalog.stop()
})

const patience = { timeout: 20_000, interval: 20 }
let number = 0
/** Two products that both instances have in their memory: one is written as ever, the other without telling anybody. */
let told: string
let untold: string
beforeEach(async () => {
  number += 1
  ;[told, untold] = [`TOLD-${number}`, `UNTOLD-${number}`]
  await addProducts([told, untold].map((sku) => ({ sku, name: 'Old' })))
  for (const sku of [told, untold]) await expectInMemory(sku)
})
const shown = async (sku: string, instance: typeof other = other) =>
  (await instance.ask(`/api/products/${sku}`)).json().name
const expectInMemory = (sku: string) =>
  Promise.all(
    [catalog, other].map((instance) =>
      expect
        .poll(async () => (await instance.ask(`/api/products/${sku}`)).headers['x-cache'], patience)
        .toBe('hit-local'),
    ),
  )

/** A process that commits, and dies before it tells the cache. */
async function writeAndDie(how: 'as-ever' | 'by-import' | 'by-order' | 'in-silence', sku: string) {
  const fixture = new URL('./killed-writer.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [fixture, catalog.url, how, sku, 'New'], { stdio: 'inherit' })
  onTestFinished(() => void child.kill('SIGKILL'))
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
  const written = how === 'by-order' ? { stockCount: 9 } : { name: 'New' }
  expect(await prisma.product.findUnique({ where: { sku } })).toMatchObject(written)
}

it('a writer that is killed between its commit and the cache leaves no reader with the old product', async () => {
  await writeAndDie('in-silence', untold)
  await writeAndDie('as-ever', told)
  await expect.poll(() => shown(told), patience).toBe('New')
  await expectInMemory(told)
  expect(await shown(told, catalog)).toBe('New')
  // The control: for a minute nothing would correct it.
  expect([await shown(untold), await shown(untold, catalog)]).toEqual(['Old', 'Old'])
})

it('nor does an import that is killed there', async () => {
  await writeAndDie('by-import', told)
  await expect.poll(() => shown(told), patience).toBe('New')
})

it('nor does one that is killed after it has taken a piece for an order', async () => {
  const stock = async () => (await other.ask(`/api/products/${told}`)).json().stockCount
  expect(await stock()).toBe(10)
  await writeAndDie('by-order', told)
  await expect.poll(stock, patience).toBe(9)
})

it('a write while the cache cannot be told is told when it is back', async () => {
  await links.cache.refuse()
  const path = `/api/products/${told}`
  const changed = await ask(path, { as: 'admin', method: 'PATCH', body: { name: 'New', category: 'cups' } })
  expect(changed.statusCode).toBe(200)
  await prisma.product.update({ where: { sku: untold }, data: { name: 'New' } })
  expect([await shown(told), await shown(untold)]).toEqual(['New', 'New'])

  await links.cache.heal()
  await expectInMemory(untold)
  expect(await shown(untold)).toBe('Old')
  await expect.poll(() => shown(told), patience).toBe('New')
  await expectInMemory(told)
  expect(await shown(told, catalog)).toBe('New')
})

it('the numbers per category follow, though nobody was told of them but by the event', async () => {
  const counts = async () => {
    const { items } = (await other.ask('/api/categories')).json()
    return items.map(({ slug, productCount }: { slug: string; productCount: number }) => [slug, productCount])
  }
  const before = await counts()
  const store = createProductStore(prisma, catalog.pool)
  const cup = { sku: `CUP-${number}`, name: 'Cup', description: '', category: 'cups', priceCents: 1, stockCount: 1 }
  await store.add(cup)
  const grown = before.map(([slug, count]: [string, number]) => [slug, slug === 'cups' ? count + 1 : count])
  await expect.poll(counts, patience).toEqual(grown)
  await store.remove(cup.sku)
  await expect.poll(counts, patience).toEqual(before)
})

it('an event that cannot be read becomes a dead letter and holds up nobody', async () => {
  const { changes } = catalog
  await changes.publish({
    id: crypto.randomUUID(),
    key: 'x',
    type: 'product.changed',
    body: '{"type":"product.changed"}',
  })
  await changes.publish({ id: crypto.randomUUID(), key: 'x', type: 'product.praised', body: '{}' })
  await expect.poll(async () => (await changes.stats('catalog-cache')).deadLetterCount, patience).toBe(1)
  await ask(`/api/products/${told}`, { as: 'admin', method: 'PATCH', body: { name: 'New' } })
  await expect.poll(() => shown(told), patience).toBe('New')
  const waiting = async () => {
    const { pendingCount, lagCount } = await changes.stats('catalog-cache')
    return pendingCount + lagCount
  }
  await expect.poll(waiting, patience).toBe(0)
})

it('an event says which request has written, so that its log line is found by that id', async () => {
  const requestId = crypto.randomUUID()
  const body = { name: 'New' }
  await ask(`/api/products/${told}`, { as: 'admin', method: 'PATCH', body, headers: { 'x-request-id': requestId } })
  const [row] = await prisma.outboxEvent.findMany({ where: { body: { contains: told } }, orderBy: { id: 'desc' } })
  expect(JSON.parse(row?.body ?? '{}')).toMatchObject({ type: 'product.changed', requestId })
})
