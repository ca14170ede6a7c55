/**
 * A gentle shopper: looks around, fills a cart, buys, sometimes changes her mind, and waits a moment between any two requests. She writes
 * down what the shop has promised her, which the books are compared with afterwards.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cart } from '@shop/contracts/cart'
import type { Card, Order } from '@shop/contracts/order'
import type { User } from '@shop/contracts/user'
import type { Answer } from '@shop/test-kit/browser'
import { createRandom, integerOf, oneOf, type Random } from '@shop/test-kit/random'
import { createClient } from './client.ts'
import type { Entry } from './ledger.ts'

export interface CartWrite {
  sku: string
  /** 0: taken out. */
  quantity: number
  startMs: number
  /** When the shop answered 200; absent when it did not. */
  doneMs?: number
}

export interface Purchase {
  key: string
  card: Card
  /** All orders that were answered for this key: at most one, or the key was used twice. */
  orderIds: Set<string>
}

export interface Journal {
  userId?: string
  cartWrites: CartWrite[]
  purchases: Purchase[]
  /** The last thing that she saw in her cart. */
  cart?: Cart
}

export interface ShopperOptions {
  url: string
  seed: number
  skus: readonly string[]
  record: (entry: Entry) => void
  /** Ends the shopping. What was begun is brought to its end first. */
  signal: AbortSignal
}

const pauseMs = { min: 150, max: 450 }
/** Actions by weight; the sum does not matter. */
const habits = { look: 30, list: 15, put: 18, takeOut: 3, cart: 8, buy: 10, history: 6, cancel: 2 } as const
type Habit = keyof typeof habits

/** Resolves with the journal when the shopping is over. */
export async function goShopping(options: ShopperOptions): Promise<Journal> {
  const random = createRandom(options.seed)
  const journal: Journal = { cartWrites: [], purchases: [] }
  const shopper = createShopper(options, random, journal)
  await shopper.become()
  while (!options.signal.aborted) {
    await shopper[habitOf(random)]()
    await sleep(integerOf(random, pauseMs.min, pauseMs.max))
  }
  await shopper.leave()
  return journal
}

function habitOf(random: Random): Habit {
  const names = Object.keys(habits) as Habit[]
  const total = names.reduce((sum, name) => sum + habits[name], 0)
  let rest = random() * total
  return (
    names.find((name) => {
      rest -= habits[name]
      return rest < 0
    }) ?? 'look'
  )
}

function createShopper({ url, skus, record }: ShopperOptions, random: Random, journal: Journal) {
  const { browser, ask, insist } = createClient({ url, random, record })
  return { become, leave, look, list, put, takeOut, cart, buy, history, cancel }

  async function become() {
    const credentials = { email: `${randomUUID()}@example.com`, password: randomUUID() }
    const registered = await insist('POST /api/users', () =>
      browser.post<User>('/api/users', { ...credentials, name: 'Gentle Shopper' }),
    )
    // 409: an earlier attempt was carried out and its answer lost.
    if (registered?.status !== 201 && registered?.status !== 409) throw new Error(refusal('registering', registered))
    const signedIn = await insist('POST /api/sessions', () =>
      browser.post<{ user: User }>('/api/sessions', credentials),
    )
    if (signedIn?.status !== 201) throw new Error(refusal('signing in', signedIn))
    journal.userId = signedIn.body.user.id
  }

  async function leave() {
    const seen = await insist('GET /api/cart', () => browser.get<Cart>('/api/cart'))
    if (seen?.status === 200) journal.cart = seen.body
  }

  async function look() {
    const sku = oneOf(random, skus)
    await ask('GET /api/products/:sku', () => browser.get(`/api/products/${sku}`))
  }

  async function list() {
    const sort = oneOf(random, ['name', 'newest'])
    await ask('GET /api/products', () => browser.get(`/api/products?limit=20&sort=${sort}`))
  }

  async function put() {
    const write = { sku: oneOf(random, skus), quantity: integerOf(random, 1, 3), startMs: Date.now() }
    await change(write, 'PUT /api/cart/items/:sku', () =>
      browser.put<Cart>(`/api/cart/items/${write.sku}`, { quantity: write.quantity }),
    )
  }

  async function takeOut() {
    const sku = journal.cartWrites.at(-1)?.sku
    if (sku === undefined) return
    await change({ sku, quantity: 0, startMs: Date.now() }, 'DELETE /api/cart/items/:sku', () =>
      browser.delete<Cart>(`/api/cart/items/${sku}`),
    )
  }

  async function change(write: CartWrite, route: string, send: () => Promise<Answer<Cart>>) {
    journal.cartWrites.push(write)
    const answer = await ask(route, send)
    if (answer?.status === 200) write.doneMs = Date.now()
  }

  async function cart() {
    await ask('GET /api/cart', () => browser.get('/api/cart'))
  }

  async function buy() {
    const card = oneOf(random, ['approve', 'approve', 'approve', 'decline', 'timeout', 'callback'] as const)
    const purchase: Purchase = { key: randomUUID(), card, orderIds: new Set() }
    journal.purchases.push(purchase)
    const answer = await insist('POST /api/orders', () =>
      browser.post<Order>('/api/orders', { payment: { card } }, { 'idempotency-key': purchase.key }),
    )
    if (answer?.status !== 202) return
    purchase.orderIds.add(answer.body.id)
    // The same request again, as from a second click: the same order.
    if (random() < 0.2) {
      const again = await insist('POST /api/orders', () =>
        browser.post<Order>('/api/orders', { payment: { card } }, { 'idempotency-key': purchase.key }),
      )
      if (again?.status === 202) purchase.orderIds.add(again.body.id)
    }
  }

  async function history() {
    await ask('GET /api/orders', () => browser.get('/api/orders?limit=10'))
  }

  async function cancel() {
    const id = journal.purchases.flatMap(({ orderIds }) => [...orderIds]).at(-1)
    if (id === undefined) return
    await ask('POST /api/orders/:id/cancel', () => browser.post(`/api/orders/${id}/cancel`, undefined))
  }
}

function refusal(what: string, answer: Answer<unknown> | undefined): string {
  return `${what} failed (${answer?.status ?? 'no answer'}): ${answer?.text ?? 'the deadline passed'}`
}
