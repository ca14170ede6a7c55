/** A hit that comes from this process's own memory. */
import { connectPlain } from '../harness/plain-redis.ts'
import { type Product, productCount } from '../harness/products.ts'
import { type Contender, closedLoopColumns, type Running, type Table } from '../harness/suite.ts'
import type { Servers } from './context.ts'
import { openOurs } from './ours.ts'
import { type Load, type Reader, reading } from './reading.ts'

const ttlMs = 3_600_000
const maxEntryCount = 2 * productCount
/** Looking at the clock costs as much as one of these reads. */
const start = (open: (load: Load) => Promise<Reader>): Promise<Running> => reading(open, { sampleEvery: 128 })
const close = async () => {}

const limits: Contender<Servers>[] = [
  {
    id: 'map',
    label: 'Map of frozen objects, awaited',
    role: 'limit',
    async start() {
      const products = new Map<string, Product>()
      const fill = async (sku: string, product: Product) => products.set(sku, Object.freeze(product))
      return start(async () => ({ read: async (sku) => products.get(sku), fill, close }))
    },
  },
  {
    id: 'lru-cache',
    label: 'lru-cache with TTL, awaited',
    role: 'limit',
    async start() {
      const { LRUCache } = await import('lru-cache')
      const products = new LRUCache<string, Product>({ max: maxEntryCount, ttl: ttlMs })
      const fill = async (sku: string, product: Product) => products.set(sku, product)
      return start(async () => ({ read: async (sku) => products.get(sku), fill, close }))
    },
  },
]

const peers: Contender<Servers>[] = [
  {
    id: 'async-cache-dedupe',
    label: 'async-cache-dedupe, memory',
    role: 'peer',
    async start() {
      const { createCache } = await import('async-cache-dedupe')
      const storage = { type: 'memory', options: { size: maxEntryCount } } as const
      return start(async (load) => {
        const cache = createCache({ ttl: ttlMs / 1000, storage }).define('product', load)
        return { read: (sku) => cache.product(sku), close }
      })
    },
  },
  { id: 'bentocache', label: 'bentocache, memory', role: 'peer', start: () => startBento(true) },
  {
    id: 'bentocache-objects',
    label: 'bentocache, memory, not serialising',
    role: 'peer',
    start: () => startBento(false),
  },
  {
    id: 'cache-manager',
    label: 'cache-manager, memory',
    role: 'peer',
    async start() {
      const { createCache } = await import('cache-manager')
      const cache = createCache({ ttl: ttlMs })
      return start(async (load) => ({
        read: (sku) => cache.wrap(sku, () => load(sku)),
        close: () => cache.disconnect(),
      }))
    },
  },
  {
    id: 'node-redis',
    label: 'node-redis, client-side caching + parse',
    role: 'peer',
    async start({ redisUrl }) {
      const { createClient } = await import('@redis/client')
      const clientSideCache = { maxEntries: maxEntryCount, ttl: ttlMs }
      const client = createClient({ url: redisUrl, RESP: 3, clientSideCache })
      await client.connect()
      const filler = connectPlain(redisUrl)
      const keyOf = (sku: string) => `tracked:product:${sku}`
      return start(async () => ({
        read: async (sku) => JSON.parse((await client.get(keyOf(sku))) as string),
        fill: (sku, product) => filler.set(keyOf(sku), JSON.stringify(product)),
        close: () => Promise.all([client.close(), filler.quit()]),
      }))
    },
  },
]

async function startBento(serialize: boolean): Promise<Running> {
  const { BentoCache, bentostore } = await import('bentocache')
  const { memoryDriver } = await import('bentocache/drivers/memory')
  const store = bentostore().useL1Layer(memoryDriver({ maxItems: maxEntryCount, serialize }))
  const bento = new BentoCache({ default: 'main', ttl: ttlMs, stores: { main: store } })
  return start(async (load) => ({
    read: (sku) => bento.getOrSet({ key: sku, factory: () => load(sku) }),
    close: () => bento.disconnect(),
  }))
}

export const localHit: Table<Servers> = {
  id: 'local-hit',
  title: 'Cache hit in this process (L1)',
  note: '64 callers, 10,000 keys, awaited each time. Ours and node-redis hear of writes by others; a plain memory cache does not.',
  columns: closedLoopColumns,
  ratios: [
    { metric: 'perSecond', to: 'map', label: 'x Map' },
    { metric: 'cpuUs', to: 'map', label: 'CPU x Map' },
  ],
  contenders: [
    {
      id: 'ours',
      label: 'redis-kit/cache with copies',
      role: 'ours',
      start: ({ redisUrl }) => start((load) => openOurs(redisUrl, load, { withCopies: true })),
    },
    ...limits,
    ...peers,
  ],
  goals: [
    { text: 'at least 3 M/s', metric: 'perSecond', contender: 'ours', atLeast: 3e6 },
    {
      text: 'the same as a ratio: at least 0.39 x the Map (which did 7.6 M/s where the goal was set)',
      metric: 'perSecond',
      contender: 'ours',
      than: ['map'],
      atLeast: 0.39,
    },
  ],
}
