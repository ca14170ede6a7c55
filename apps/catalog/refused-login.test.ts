/** A Postgres that does not let the catalog in is away for as long as that: requests are 503 and events wait. */
import { randomUUID } from 'node:crypto'
import { createClient, createPrismaAdapter } from '@shop/service-kit/storage/database'
import { createLog } from '@shop/service-kit/telemetry/log'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { startCatalog } from './catalog.fixture.ts'
import { keys } from './keys.ts'
import { PrismaClient } from './prisma/client/client.ts'
import { consumeOrders, orderGroup } from './stock/events.ts'
import { createStockStore } from './stock/store.ts'

const catalog = await startCatalog()
const database = new URL(catalog.url).pathname.slice(1)
const role = `login_${randomUUID().slice(0, 8)}`
const password = 'right'
/** Connected to another database of the server, because the catalog's may be closed. */
const admin = createClient(Object.assign(new URL(catalog.url), { pathname: '/postgres' }).href, { name: 'admin' })
await admin.connect()
await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`)
for (const kind of ['TABLES', 'SEQUENCES']) {
  await catalog.pool.query(`GRANT ALL ON ALL ${kind} IN SCHEMA public TO ${role}`)
}
catalog.variables.DATABASE_URL = Object.assign(new URL(catalog.variables.DATABASE_URL), {
  username: role,
  password,
}).href
const instance = await catalog.startInstance()

afterAll(async () => {
  await instance.stop()
  await catalog.pool.query(`DROP OWNED BY ${role}`)
  await admin.query(`DROP ROLE ${role}`)
  await admin.end()
  await catalog.stop()
})

interface Refusal {
  refuse: string
  heal: string
}

const refusals: Record<string, Refusal> = {
  'a role that may not log in': { refuse: `ALTER ROLE ${role} NOLOGIN`, heal: `ALTER ROLE ${role} LOGIN` },
  'a wrong password': {
    refuse: `ALTER ROLE ${role} PASSWORD 'rotated'`,
    heal: `ALTER ROLE ${role} PASSWORD '${password}'`,
  },
  'a database closed for connections': {
    refuse: `ALTER DATABASE ${database} ALLOW_CONNECTIONS false`,
    heal: `ALTER DATABASE ${database} ALLOW_CONNECTIONS true`,
  },
  'a role without the right to connect': {
    refuse: `REVOKE CONNECT ON DATABASE ${database} FROM PUBLIC`,
    heal: `GRANT CONNECT ON DATABASE ${database} TO PUBLIC`,
  },
  'a database under another name': {
    refuse: `ALTER DATABASE ${database} RENAME TO ${database}_away`,
    heal: `ALTER DATABASE ${database}_away RENAME TO ${database}`,
  },
}
const patience = { timeout: 15_000, interval: 20 }
const endSessions = (whose: string) =>
  admin.query(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE ${whose}`)

async function refuse({ refuse, heal }: Refusal) {
  // A database with sessions is not renamed.
  if (refuse.includes('RENAME')) await endSessions(`datname = '${database}'`)
  await admin.query(refuse)
  onTestFinished(async () => void (await admin.query(heal).catch(() => {})))
  await endSessions(`usename = '${role}'`)
}

test.each(Object.entries(refusals))('%s is a 503 until it is healed', async (_, refusal) => {
  const sku = `TEA-${randomUUID().slice(0, 8).toUpperCase()}`
  await catalog.addProducts([{ sku }])
  await refuse(refusal)
  const change = { as: 'admin', method: 'PATCH', body: { priceCents: 700 } } as const
  for (const answer of [
    await instance.ask(`/api/products/${sku}`),
    await instance.ask('/api/products'),
    await instance.ask(`/api/products/${sku}`, change),
  ]) {
    expect(answer.json()).toMatchObject({ status: 503, code: 'dependency-unavailable' })
    expect(answer.headers['retry-after']).toBe('2')
  }
  await admin.query(refusal.heal)
  await expect.poll(async () => (await instance.ask(`/api/products/${sku}`)).statusCode, patience).toBe(200)
  expect((await instance.ask(`/api/products/${sku}`, change)).statusCode).toBe(200)
})

test('table rights that were taken away are a 500', async () => {
  await catalog.pool.query(`REVOKE ALL ON products FROM ${role}`)
  onTestFinished(async () => void (await catalog.pool.query(`GRANT ALL ON products TO ${role}`)))
  const answer = await instance.ask(`/api/products/TEA-${randomUUID().slice(0, 8).toUpperCase()}`)
  expect(answer.json()).toMatchObject({ status: 500, code: 'internal' })
})

test.each(Object.entries(refusals))('an event waits for the end of %s, and is then handled', async (_, refusal) => {
  await expectToWait(
    () => refuse(refusal),
    () => admin.query(refusal.heal),
  )
})

test('an event waits for table rights, and is then handled', async () => {
  await expectToWait(
    () => catalog.pool.query(`REVOKE ALL ON products FROM ${role}`),
    () => catalog.pool.query(`GRANT ALL ON products TO ${role}`),
  )
})

async function expectToWait(refuseNow: () => Promise<unknown>, heal: () => Promise<unknown>) {
  const sku = `CUP-${randomUUID().slice(0, 8).toUpperCase()}`
  await catalog.addProducts([{ sku, stockCount: 5 }])
  const { publish, failures } = startConsumer()
  await refuseNow()
  onTestFinished(async () => void (await heal().catch(() => {})))
  await publish(sku, 2)
  // A delivery that counted would be the second one.
  await expect
    .poll(() => failures.slice(0, 2), patience)
    .toMatchObject([
      { outcome: 'retry', deliveryCount: 1 },
      { outcome: 'retry', deliveryCount: 1 },
    ])
  await heal()
  await expect.poll(() => catalog.stockOf(sku).catch(() => undefined), patience).toBe(3)
}

interface Failure {
  outcome?: string
  deliveryCount?: number
}

/** The consumer of the service, as the role, until the test ends. `failures`: its log lines about events that failed. */
function startConsumer() {
  const failures: Failure[] = []
  const write = (line: string) => {
    if (line.includes('event failed')) failures.push(JSON.parse(line))
  }
  const prisma = new PrismaClient({
    adapter: createPrismaAdapter(catalog.variables.DATABASE_URL, { name: 'consumer', poolMax: 5 }),
  })
  const consume = consumeOrders({
    orders: catalog.orders,
    stock: createStockStore(prisma, { group: orderGroup, topic: keys.stock.name, reservationTtlMs: 60_000 }),
    forget: async () => {},
    consumer: randomUUID(),
    connect: catalog.connect,
    log: createLog({ service: 'catalog', instanceId: 'consumer', destination: { write } }),
  })
  const stopping = new AbortController()
  const running = consume(stopping.signal)
  onTestFinished(async () => {
    stopping.abort()
    await running
    await prisma.$disconnect()
  })
  return { failures, publish }

  function publish(sku: string, quantity: number) {
    const [id, orderId] = [randomUUID(), randomUUID()]
    const data = { orderId, userId: randomUUID(), items: [{ sku, quantity }], totalCents: 100 }
    const body = JSON.stringify({ id, type: 'order.placed', occurredAtMs: Date.now(), data })
    return catalog.orders.publish({ id, key: orderId, type: 'order.placed', body })
  }
}
