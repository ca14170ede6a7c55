/** Postgres is killed under two processes that are busy with orders: what their callers hear, and that no process ends. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Identity } from '@shop/contracts/identity'
import { startPostgres } from '@shop/test-kit/postgres-server'
import { createTemplate, databaseUrl } from '@shop/test-kit/postgres-template'
import { createRandom, integerOf } from '@shop/test-kit/random'
import { type RunningService, startService } from '@shop/test-kit/service'
import { afterAll, expect, it } from 'vitest'
import { startOrder } from './order.fixture.ts'

const postgres = await startPostgres({ durable: true })
const { name } = await createTemplate(postgres.url, 'order')
const order = await startOrder({}, databaseUrl(postgres.url, name))
order.prices.set('TEA-1', 450)
const instances = await Promise.all(
  [1, 2].map(() => startService({ app: 'order', env: { ...order.variables, DATABASE_POOL_MAX: '2' } })),
)
const ended: string[] = []
for (const { exited, instanceId } of instances) exited.then(() => ended.push(instanceId))
afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.stop()))
  await order.stop()
  await postgres.stop()
})

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const killCount = 10
/** More than there are connections: clients then go from one caller straight to the next. */
const buyerCount = 24
const patience = { timeout: 20_000, interval: 25 }

it(`ten SIGKILLs of Postgres under load end no process; each request is served or 503 (SEED=${seed})`, {
  timeout: 180_000,
}, async () => {
  const random = createRandom(seed)
  const counts = new Map<number, number>()
  const loading = new AbortController()
  const load = Array.from({ length: buyerCount }, (_, index) =>
    keepBuying(instances[index % 2] as RunningService, loading.signal, (status) =>
      counts.set(status, (counts.get(status) ?? 0) + 1),
    ),
  )
  for (let kill = 0; kill < killCount; kill++) {
    await sleep(integerOf(random, 100, 600))
    await postgres.kill('SIGKILL')
    await postgres.restart()
    for (const instance of instances) await expect.poll(() => answers(instance), patience).toBe(200)
  }
  loading.abort()
  await Promise.all(load)
  expect(ended).toEqual([])
  expect([...counts.keys()].filter((status) => ![200, 202, 409, 503].includes(status))).toEqual([])
  for (const status of [200, 202, 503]) expect([status, counts.get(status) ?? 0]).not.toEqual([status, 0])
})

/** Fills a cart, orders it, looks at the orders, and cancels the newest; again and again. */
async function keepBuying(instance: RunningService, signal: AbortSignal, onStatus: (status: number) => void) {
  const as = order.customer()
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await request(instance, as, method, path, body)
    onStatus(response.status)
    return response.ok ? response.json() : undefined
  }
  while (!signal.aborted) {
    await ask('PUT', '/api/cart/items/TEA-1', { quantity: 2 })
    const placed = (await ask('POST', '/api/orders', { payment: { card: 'approve' } })) as { id: string } | undefined
    await ask('GET', '/api/orders')
    if (placed) await ask('POST', `/api/orders/${placed.id}/cancel`)
  }
}

async function answers(instance: RunningService): Promise<number> {
  return (await request(instance, order.customer(), 'GET', '/api/orders')).status
}

function request({ url }: RunningService, as: Identity, method: string, path: string, body?: object) {
  const headers = { ...order.identityOf(as), 'idempotency-key': randomUUID() }
  const json = body && { body: JSON.stringify(body), headers: { ...headers, 'content-type': 'application/json' } }
  return fetch(url + path, { method, headers, ...json })
}
