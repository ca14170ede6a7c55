/** The other ways to answer "this product, please" with Fastify. All in the contender's own process. */
import type { AddressInfo } from 'node:net'
import { type FastifyReply, fastify } from 'fastify'
import { connectPlain } from '../harness/plain-redis.ts'
import { makeProduct, skus } from '../harness/products.ts'
import type { Servers } from './context.ts'
import type { HttpServer } from './loading.ts'

type Answer = (sku: string, reply: FastifyReply) => unknown

/** A product as bytes, an object, or by way of `reply`; `undefined` is 404. */
export async function serve(answer: Answer, close: () => Promise<unknown> = async () => {}): Promise<HttpServer> {
  const server = fastify()
  server.get<{ Params: { sku: string } }>('/api/products/:sku', (request, reply) => answer(request.params.sku, reply))
  await server.listen({ port: 0, host: '127.0.0.1' })
  const { port } = server.server.address() as AddressInfo
  return {
    port,
    async cpuUs() {
      const { user, system } = process.cpuUsage()
      return user + system
    },
    async close() {
      await server.close()
      await close()
    },
  }
}

const json = 'application/json; charset=utf-8'

function send(reply: FastifyReply, body: Buffer | string | null | undefined): FastifyReply {
  return body ? reply.type(json).send(body) : reply.code(404).send()
}

/** Always the same text: what Fastify itself costs. (The product that is checked is the one that it sends.) */
export function serveBare(): Promise<HttpServer> {
  const text = JSON.stringify(makeProduct(skus[7] as string))
  return serve((_sku, reply) => send(reply, text))
}

/** Node sends text in one packet with the head, bytes in two pieces: which one makes a difference. */
export function serveMap(as: 'bytes' | 'text'): Promise<HttpServer> {
  const texts = skus.map((sku) => [sku, JSON.stringify(makeProduct(sku))] as const)
  const products = new Map(texts.map(([sku, text]) => [sku, as === 'text' ? text : Buffer.from(text)]))
  return serve((sku, reply) => send(reply, products.get(sku)))
}

export async function serveRedis({ redisUrl }: Servers, as: 'bytes' | 'text'): Promise<HttpServer> {
  const redis = connectPlain(redisUrl)
  const keyOf = (sku: string) => `${as}:product:${sku}`
  await Promise.all(skus.map((sku) => redis.set(keyOf(sku), JSON.stringify(makeProduct(sku)))))
  const get = (key: string) => (as === 'text' ? redis.get(key) : redis.getBuffer(key))
  return serve(
    async (sku, reply) => send(reply, await get(keyOf(sku))),
    () => redis.quit(),
  )
}

/** As its documentation wires it: the value is an object, Fastify makes the JSON. */
export async function serveBento({ redisUrl }: Servers, { withCopies }: { withCopies: boolean }): Promise<HttpServer> {
  const { BentoCache, bentostore } = await import('bentocache')
  const { memoryDriver } = await import('bentocache/drivers/memory')
  const { redisDriver } = await import('bentocache/drivers/redis')
  const connection = connectPlain(redisUrl) as never
  const layered = bentostore().useL2Layer(redisDriver({ connection, prefix: `bento-http-${withCopies}` }))
  const store = withCopies ? layered.useL1Layer(memoryDriver({ maxItems: 2 * skus.length })) : layered
  const bento = new BentoCache({ default: 'main', ttl: 3_600_000, stores: { main: store } })
  const answer = (sku: string) => bento.getOrSet({ key: sku, factory: () => makeProduct(sku) })
  return serve(answer, () => bento.disconnect())
}

/** Row by row, mapped by pg; prepared once per connection. */
export function servePg({ databaseUrl }: Servers): Promise<HttpServer> {
  return serveSql(databaseUrl, `SELECT ${columns} FROM products WHERE sku = $1`, (row) => row)
}

/** The JSON built by Postgres, one column, sent as it comes. */
export function servePgJson({ databaseUrl }: Servers): Promise<HttpServer> {
  const text = `SELECT row_to_json(p)::text AS json FROM (SELECT ${columns} FROM products WHERE sku = $1) p`
  return serveSql(databaseUrl, text, (row, reply) => reply.type(json).send(row.json))
}

const columns = `sku, name, description, category, price_cents AS "priceCents", 'EUR' AS currency, stock_count AS "stockCount",
  '/api/products/' || sku || '/image.svg' AS "imageUrl", updated_at AS "updatedAt"`

type Row = Record<string, unknown>

async function serveSql(url: string, text: string, respond: (row: Row, reply: FastifyReply) => unknown) {
  const { default: pg } = await import('pg')
  const pool = new pg.Pool({ connectionString: url, max: 10 })
  const answer = async (sku: string, reply: FastifyReply) => {
    const { rows } = await pool.query<Row>({ name: 'product', text, values: [sku] })
    return rows[0] ? respond(rows[0], reply) : reply.code(404).send()
  }
  return serve(answer, () => pool.end())
}

/** The catalog's own generated client, read as a file: nothing imports an app. */
export async function servePrisma({ databaseUrl }: Servers): Promise<HttpServer> {
  const { createPrismaAdapter } = await import('@shop/service-kit/storage/database')
  const client = new URL('../../../apps/catalog/prisma/client/client.ts', import.meta.url).href
  const { PrismaClient } = await import(client)
  const prisma = new PrismaClient({ adapter: createPrismaAdapter(databaseUrl, { name: 'bench', poolMax: 10 }) })
  const select = {
    sku: true,
    name: true,
    description: true,
    categorySlug: true,
    priceCents: true,
    stockCount: true,
    updatedAt: true,
  }
  const answer = async (sku: string, reply: FastifyReply) => {
    const row = await prisma.product.findUnique({ where: { sku }, select })
    if (!row) return reply.code(404).send()
    const { categorySlug, ...product } = row
    return { ...product, category: categorySlug, currency: 'EUR', imageUrl: `/api/products/${sku}/image.svg` }
  }
  return serve(answer, () => prisma.$disconnect())
}
