/**
 * A running shop whose state Redis refuses writes, is frozen or is gone. Products can be read throughout, signed in or not; carts and
 * orders are right or 503; all is well afterwards. `OUTAGE_SECONDS=60 npx vitest run --project tools outage/state-outage` prints the table.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as elapse } from 'node:timers/promises'
import type { Order, OrderPage } from '@shop/contracts/order'
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, type Customer, startWholeShop } from './whole-shop.fixture.ts'

/** Longer than a heartbeat lives: 6 s. */
const outageSeconds = Number(process.env.OUTAGE_SECONDS ?? 8)
const recoverySeconds = 6

type Shop = Awaited<ReturnType<typeof startWholeShop>>
let shop: Shop
let admin: Redis

beforeAll(async () => {
  shop = await startWholeShop()
  admin = connectRedis(shop.state.url, { name: 'admin' })
  await whenReady(admin, 10_000)
}, 120_000)
afterAll(async () => {
  await closeRedis(admin)
  await shop.stop()
}, 60_000)

interface Cause {
  begin(): Promise<unknown>
  end(): Promise<unknown>
}

const causes: Record<string, Cause> = {
  OOM: {
    begin: () => admin.config('SET', 'maxmemory', '1'),
    end: () => admin.config('SET', 'maxmemory', '0'),
  },
  READONLY: {
    begin: () => admin.replicaof('127.0.0.1', 1),
    end: () => admin.replicaof('NO', 'ONE'),
  },
  NOREPLICAS: {
    begin: () => admin.config('SET', 'min-replicas-to-write', '1'),
    end: () => admin.config('SET', 'min-replicas-to-write', '0'),
  },
  frozen: { begin: () => shop.state.kill('SIGSTOP'), end: () => shop.state.kill('SIGCONT') },
  gone: { begin: () => shop.state.kill('SIGKILL'), end: () => shop.state.restart() },
}

const quantity = 2
const products = ['product page', 'product list', 'product page, signed in']
const wellStatuses: Record<string, readonly number[]> = {
  'product page': [200],
  'product list': [200],
  'product page, signed in': [200],
  'cart read': [200],
  'cart write': [200],
  'order history': [200],
  checkout: [202, 409], // 409: the cart is empty or already ordered
}
type Route = string

/** Every route once, at once. */
function createTour(shop: Shop, guest: Customer, customer: Customer) {
  let round = 0
  const keys: string[] = []
  return { keys, go }

  async function go(): Promise<[Route, Answer][]> {
    round += 1
    const sku = shop.skus[round % shop.skus.length]
    const key = randomUUID()
    keys.push(key)
    const asked: Record<Route, Promise<Answer>> = {
      'product page': guest.ask('GET', `/api/products/${sku}`),
      'product list': guest.ask('GET', '/api/products?limit=10'),
      'product page, signed in': customer.ask('GET', `/api/products/${sku}`),
      'cart read': customer.ask('GET', '/api/cart'),
      'cart write': customer.ask('PUT', `/api/cart/items/${sku}`, { quantity }),
      'order history': customer.ask('GET', '/api/orders'),
      checkout: customer.ask('POST', '/api/orders', { payment: { card: 'approve' } }, key),
    }
    return Promise.all(Object.entries(asked).map(async ([route, answer]) => [route, await answer] as [Route, Answer]))
  }
}

const isWell = (route: Route, { status }: Answer) => wellStatuses[route]?.includes(status) ?? false

/** How often each answer was given: `200 ×58, 503 dependency-unavailable ×2`. */
function tally(answers: readonly Answer[]) {
  const counts = new Map<string, number>()
  for (const { status, code } of answers) {
    const name = code ? `${status} ${code}` : `${status}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts].map(([name, count]) => `${name} ×${count}`).join(', ')
}

/** Of each route, the time from the end of the outage to the last answer that was not well. */
async function recover(go: () => Promise<[Route, Answer][]>) {
  const endedMs = performance.now()
  const wellAfterMs = new Map<Route, number>()
  const rounds: Promise<void>[] = []
  while (performance.now() - endedMs < recoverySeconds * 1_000) {
    const askedMs = Math.round(performance.now() - endedMs)
    rounds.push(
      go().then((answers) => {
        for (const [route, answer] of answers) {
          const before = wellAfterMs.get(route) ?? 0
          wellAfterMs.set(route, isWell(route, answer) ? before : Math.max(before, askedMs + 1))
        }
      }),
    )
    await elapse(250)
  }
  await Promise.all(rounds)
  return wellAfterMs
}

test.each(Object.keys(causes))(
  '%s: products can be read, carts and orders are right or 503, and all recovers',
  {
    timeout: (outageSeconds + recoverySeconds) * 1_000 + 120_000,
  },
  async (cause) => {
    const [guest, customer] = [shop.customer(), shop.customer()]
    await customer.signUp()
    const tour = createTour(shop, guest, customer)
    for (const [route, answer] of await tour.go()) expect(isWell(route, answer), `${route} ${answer.status}`).toBe(true)

    const answers = new Map<Route, Answer[]>()
    await causes[cause]?.begin()
    const rounds: Promise<void>[] = []
    for (let second = 0; second < outageSeconds; second++) {
      rounds.push(
        tour.go().then((all) => {
          for (const [route, answer] of all) answers.set(route, [...(answers.get(route) ?? []), answer])
        }),
      )
      await elapse(1_000)
    }
    await Promise.all(rounds)
    await causes[cause]?.end()
    const wellAfterMs = await recover(tour.go)

    for (const [route, all] of answers) {
      process.stderr.write(`${cause} | ${route} | ${tally(all)} | well after ${wellAfterMs.get(route)} ms\n`)
      const bad = all.filter((answer) => !isWell(route, answer))
      if (products.includes(route)) expect(bad, route).toEqual([])
      for (const { status, code } of bad) expect([status, typeof code], `${route}: ${code}`).toEqual([503, 'string'])
      expect(wellAfterMs.get(route), `${route} recovers`).toBeLessThan((recoverySeconds - 1) * 1_000)
    }
    await expectOnlyWhatWasOrdered(customer, tour.keys)
  },
)

test('a gateway that starts while heartbeats are refused finds the shop, and an instance that stops then is not asked', {
  timeout: 120_000,
}, async () => {
  const guest = shop.customer()
  await causes.OOM?.begin()
  await elapse(8_000) // every heartbeat has run out
  await shop.restart('gateway-1')
  const read = async () => {
    const answers = await Promise.all(shop.skus.slice(0, 10).map((sku) => guest.ask('GET', `/api/products/${sku}`)))
    return tally(answers)
  }
  expect(await read()).toBe('200 ×10')
  const stopped = shop.stopInstance('catalog-2')
  for (let round = 0; round < 30; round++) {
    expect(await read()).toBe('200 ×10')
    await elapse(100)
  }
  await stopped
  await causes.OOM?.end()
  expect(await read()).toBe('200 ×10')
})

/** Each key, sent again, has one answer; the orders are those that were accepted, and hold what was put into the cart. */
async function expectOnlyWhatWasOrdered(customer: Customer, keys: readonly string[]) {
  const accepted = new Set<string>()
  for (const key of keys) {
    const { status, code, body } = await customer.ask('POST', '/api/orders', { payment: { card: 'approve' } }, key)
    expect([202, 409], `${status} ${code}`).toContain(status)
    if (status === 202) accepted.add((body as { id: string }).id)
  }
  const orders = await ordersOf(customer)
  expect(orders.map(({ id }) => id).toSorted()).toEqual([...accepted].toSorted())
  for (const { items } of orders) for (const item of items) expect(item.quantity).toBe(quantity)
}

async function ordersOf(customer: Customer): Promise<Order[]> {
  const orders: Order[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page = await customer.ask('GET', `/api/orders?limit=100${cursor && `&cursor=${cursor}`}`)
    expect(page.status).toBe(200)
    const { items, nextCursor } = page.body as OrderPage
    orders.push(...items)
    cursor = nextCursor
  }
  return orders
}
