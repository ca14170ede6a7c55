/** Changes a product, imports it, or sells a piece of it, and is killed after the commit, before it has told the cache anything. */
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { createPool, createPrismaAdapter } from '@shop/service-kit/storage/database'
import { createImports } from '../import/import.ts'
import { createImportStore } from '../import/store.ts'
import { keys } from '../keys.ts'
import { PrismaClient } from '../prisma/client/client.ts'
import { place } from '../stock/stock.ts'
import { createStockStore } from '../stock/store.ts'
import { createProducts } from './products.ts'
import { createProductStore } from './store.ts'

const [databaseUrl = '', how = '', sku = '', name = ''] = process.argv.slice(2)
const prisma = new PrismaClient({ adapter: createPrismaAdapter(databaseUrl, { name: 'killed' }) })
const cache = { get: () => Promise.reject(new Error('a writer reads nothing')) }
const products = createProducts(createProductStore(prisma, createPool(databaseUrl, { name: 'killed' })), {
  products: cache,
  categories: cache,
  forget: die,
})

if (how === 'as-ever') await products.change(sku, { name })
else if (how === 'by-order') await sell()
else if (how === 'by-import') await importOne()
// The control: what a catalog without an outbox would do.
else await prisma.product.update({ where: { sku }, data: { name } })
await die()

async function sell() {
  const stock = createStockStore(prisma, { group: 'test', topic: keys.stock.name, reservationTtlMs: 60_000 })
  const items = [{ sku, quantity: 1 }]
  await stock.update({ orderId: randomUUID(), skus: [sku], rule: (order) => place(order, items) })
}

async function importOne() {
  const log = { info: () => {}, warn: () => {} }
  const value = { sku, name, description: '', category: 'tea', priceCents: 1, stockCount: 1 }
  await createImports(createImportStore(prisma), { forget: die, log }).run(Readable.from([[{ line: 1, value }]]))
}

async function die() {
  process.kill(process.pid, 'SIGKILL')
}
