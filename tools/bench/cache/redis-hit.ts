/** A hit that comes from Redis: fetched, parsed, handed out as an object. */
import { connectCorked, connectPlain } from '../harness/plain-redis.ts'
import { type Contender, closedLoopColumns, type Table } from '../harness/suite.ts'
import type { Servers } from './context.ts'
import { libraries, peerNames } from './libraries.ts'
import { openOurs } from './ours.ts'
import { connectRaw } from './raw-socket.ts'
import { reading } from './reading.ts'

const keyOf = (sku: string) => `plain:product:${sku}`

const clients: Contender<Servers>[] = [
  {
    id: 'raw',
    label: 'raw socket, GET + parse',
    role: 'limit',
    async start({ redisUrl }) {
      const raw = await connectRaw(redisUrl)
      const redis = connectPlain(redisUrl)
      return reading(async () => ({
        read: async (sku) => JSON.parse(await raw.get(keyOf(sku))),
        fill: (sku, product) => redis.set(keyOf(sku), JSON.stringify(product)),
        close: async () => {
          raw.close()
          await redis.quit()
        },
      }))
    },
  },
  {
    id: 'ioredis',
    label: 'ioredis, GET + parse',
    role: 'control',
    start: ({ redisUrl }) => readingWith(connectPlain(redisUrl)),
  },
  {
    id: 'ioredis-corked',
    label: 'ioredis corked, GET + parse',
    role: 'control',
    start: ({ redisUrl }) => readingWith(connectCorked(redisUrl)),
  },
  {
    id: 'node-redis',
    label: 'node-redis, GET + parse',
    role: 'peer',
    async start({ redisUrl }) {
      const { createClient } = await import('@redis/client')
      const client = createClient({ url: redisUrl })
      await client.connect()
      return readingWith({
        get: (key) => client.get(key),
        set: (key, value) => client.set(key, value),
        quit: () => client.close(),
      })
    },
  },
  {
    id: 'iovalkey',
    label: 'iovalkey autopipelined, GET + parse',
    role: 'peer',
    async start({ redisUrl }) {
      const { Redis } = await import('iovalkey')
      return readingWith(new Redis(redisUrl, { enableAutoPipelining: true }))
    },
  },
]

interface Client {
  get(key: string): Promise<string | null>
  set(key: string, value: string): Promise<unknown>
  quit(): Promise<unknown>
}

function readingWith(client: Client) {
  return reading(async () => ({
    read: async (sku) => JSON.parse((await client.get(keyOf(sku))) as string),
    fill: (sku, product) => client.set(keyOf(sku), JSON.stringify(product)),
    close: () => client.quit(),
  }))
}

const peers = peerNames.map(
  (name): Contender<Servers> => ({
    id: name,
    label: name,
    role: 'peer',
    start: ({ redisUrl }) => reading((load) => libraries[name](redisUrl, load)),
  }),
)

export const redisHit: Table<Servers> = {
  id: 'redis-hit',
  title: 'Cache hit from Redis, parsed',
  note: '64 callers, 10,000 keys, 1.2 KB of JSON, no copies in memory. Libraries read through; clients GET and parse.',
  columns: closedLoopColumns,
  ratios: [
    { metric: 'perSecond', to: 'ioredis', label: 'x ioredis' },
    { metric: 'perSecond', to: 'raw', label: 'x raw' },
    { metric: 'cpuUs', to: 'ioredis', label: 'CPU x ioredis' },
  ],
  contenders: [
    {
      id: 'ours',
      label: 'redis-kit/cache',
      role: 'ours',
      start: ({ redisUrl }) => reading((load) => openOurs(redisUrl, load)),
    },
    ...clients,
    ...peers,
  ],
  goals: [
    {
      text: 'at least 1.25 x plain ioredis GET + parse',
      metric: 'perSecond',
      contender: 'ours',
      than: ['ioredis'],
      atLeast: 1.25,
    },
    {
      text: 'at least 1.3 x every cache library',
      metric: 'perSecond',
      contender: 'ours',
      than: peerNames,
      atLeast: 1.3,
    },
    { text: 'p99 no worse than plain ioredis', metric: 'p99Us', contender: 'ours', than: ['ioredis'], atMost: 1 },
  ],
}
