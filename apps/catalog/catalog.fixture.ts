/** A catalog for tests: a fresh database, two Redis servers of its own, and the app as it is in production. */

import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { createTopic } from '@shop/redis-kit/stream'
import type { Server } from '@shop/service-kit/http/server'
import { createIdentityMinter, generateIdentityKeys, type Identity } from '@shop/service-kit/identity'
import { loadConfig } from '@shop/service-kit/process/config'
import { startLoops } from '@shop/service-kit/process/loop'
import { createLoopHealth } from '@shop/service-kit/process/loop-health'
import { createPool, createPrismaAdapter } from '@shop/service-kit/storage/database'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { createLog } from '@shop/service-kit/telemetry/log'
import { createMetrics } from '@shop/service-kit/telemetry/metrics'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'
import { keys } from './keys.ts'
import { PrismaClient } from './prisma/client/client.ts'

const userId = '11111111-1111-4111-8111-111111111111'

interface Ask {
  as?: Identity['role']
  method?: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE'
  headers?: Record<string, string>
  body?: object
}

/** One instance and its servers. Between it and each of them is a link that a test may break. */
export async function startCatalog(env: Record<string, string> = {}, databaseSettings: Record<string, string> = {}) {
  const [database, cache, state] = await Promise.all([
    startDatabase(databaseSettings),
    startRedisWithUsers('cache'),
    startRedisWithUsers('state'),
  ])
  const [toPostgres, toCache, toState] = await Promise.all([linkTo(database.url), linkTo(cache.url), linkTo(state.url)])
  const identity = generateIdentityKeys()
  const mint = createIdentityMinter(identity.IDENTITY_PRIVATE_KEY)
  const variables = {
    DATABASE_URL: toPostgres.via(database.url),
    REDIS_CACHE_URL: toCache.via(cache.urlAs('catalog')),
    REDIS_STATE_URL: toState.via(state.urlAs('catalog')),
    IDENTITY_PUBLIC_KEY: identity.IDENTITY_PUBLIC_KEY,
    ...env,
  }
  const redis = connectRedis(state.url, { name: 'test' })
  await whenReady(redis, 5_000)
  const startInstance = () => startCatalogInstance(variables, identityOf)
  const instance = await startInstance()

  return {
    ...database,
    ...instance,
    links: { postgres: toPostgres, cache: toCache, state: toState },
    variables,
    identityOf,
    startInstance,
    orders: createTopic(redis, { keys: keys.orders }),
    announcements: createTopic(redis, { keys: keys.stock }),
    changes: createTopic(redis, { keys: keys.changes }),
    connect: () => connectRedis(state.url, { name: 'test-events', role: 'blocking' }),
    stop,
  }

  /** As the gateway would say it. */
  function identityOf(role: Identity['role']) {
    return { 'x-shop-identity': mint({ role, ...(role !== 'guest' && { userId }) }) }
  }

  async function stop() {
    await instance.stop()
    await closeRedis(redis)
    await database.close()
    await Promise.all([cache, state, toPostgres, toCache, toState].map((one) => one.stop()))
  }
}

let instanceCount = 0

async function startCatalogInstance(
  variables: Record<string, string>,
  identityOf: (role: Identity['role']) => Record<string, string>,
) {
  instanceCount += 1
  const names = { name: 'catalog', instanceId: `catalog-${instanceCount}` }
  const log = createLog({ service: names.name, instanceId: names.instanceId, level: 'silent' })
  const metrics = createMetrics({ service: names.name, instanceId: names.instanceId })
  const stopping = new AbortController()
  const app = await buildApp(loadConfig(configSchema, variables), {
    ...names,
    log,
    metrics,
    stopping: stopping.signal,
  })
  const server = app.server as Server
  let loops: ReturnType<typeof startLoops> | undefined
  return { server, ask, runLoops, stop }

  function ask(url: string, { as = 'guest', method = 'GET', headers = {}, body }: Ask = {}) {
    const options = { url, method, headers: { ...identityOf(as), ...headers } }
    return server.inject(body ? { ...options, body } : options)
  }

  function runLoops() {
    loops = startLoops(app.loops ?? [], log, { watch: createLoopHealth({ health: server.health, metrics }) })
  }

  async function stop() {
    stopping.abort()
    await loops?.stop()
    await server.close()
    await app.close()
  }
}

const linkTo = (url: string) => startFaultProxy({ port: Number(new URL(url).port) })

/** A fresh database with the catalog's tables, and two ways into it. */
export async function startDatabase(settings: Record<string, string> = {}) {
  const { url } = await testDatabase('catalog', settings)
  const prisma = new PrismaClient({ adapter: createPrismaAdapter(url, { name: 'test', poolMax: 20, ...patience }) })
  const pool = createPool(url, { name: 'test' })
  await prisma.category.createMany({
    data: [
      { slug: 'tea', name: 'Tea' },
      { slug: 'cups', name: 'Cups' },
    ],
  })
  return { url, prisma, pool, addProducts, stockOf, close }

  async function addProducts(products: readonly { sku: string; stockCount?: number; [field: string]: unknown }[]) {
    const data = products.map((product) => ({ ...plainProduct, ...product }))
    await prisma.product.createMany({ data })
  }

  async function stockOf(sku: string): Promise<number> {
    return (await prisma.product.findUniqueOrThrow({ where: { sku } })).stockCount
  }

  async function close() {
    await Promise.all([prisma.$disconnect(), pool.end()])
  }
}

/** A machine that is busy with other tests is not what is tested. */
const patience = { connectTimeoutMs: 20_000, lockTimeoutMs: 20_000, statementTimeoutMs: 30_000 }

const plainProduct = { name: 'Tea', description: 'Leaves.', categorySlug: 'tea', priceCents: 500, stockCount: 10 }
