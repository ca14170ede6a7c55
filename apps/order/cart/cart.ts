/**
 * Carts in Redis: one hash each, for customers and for guests. A cart has an id from its first line to its order, so that
 * one cart becomes one order. Every write may be repeated, so the kit may send it again when an answer is lost.
 */
import { randomUUID } from 'node:crypto'
import { type CartLine, maxCartLines, maxLineQuantity } from '@shop/contracts/cart'
import type { Redis } from '@shop/redis-kit/client'
import { type KeyFamily, keyFamily } from '@shop/redis-kit/keys'
import { script } from '@shop/redis-kit/script'
import { errors } from '../errors.ts'

const setLine = script<0 | 1>(new URL('./set-line.lua', import.meta.url), { effect: 'idempotent' })
const removeLines = script<1>(new URL('./remove-lines.lua', import.meta.url), { effect: 'idempotent' })
const mergeLines = script<string[]>(new URL('./merge.lua', import.meta.url), { effect: 'idempotent' })
const removeCart = script<0 | 1>(new URL('./remove.lua', import.meta.url), { effect: 'idempotent' })

const longestTtlMs = 365 * 24 * 60 * 60 * 1000

/** `order:cart:<owner>`, a hash: `id`, and a quantity per sku. Expires some time after its last change. */
export function cartKeys(service: string): KeyFamily {
  return keyFamily({
    service,
    pattern: `${service}:cart:<owner>`,
    type: 'hash',
    role: 'state',
    ttl: { ms: longestTtlMs },
    example: ['u-2f1e4f0a-6a53-4b0e-9d43-0d3c0a2b7a11'],
    doc: 'what somebody means to buy: id, and quantity by sku',
  })
}

export interface CartContents {
  /** Absent when there is no cart. */
  id?: string
  lines: CartLine[]
}

export interface CartOptions {
  keys: KeyFamily
  /** How long a cart is kept after its last change. */
  ttlMs: number
}

/** An owner is `u-<user id>` or `g-<digest of the cookie>`. Rejects as every command does, see redis-kit/errors. */
export function createCarts(redis: Redis, { keys, ttlMs }: CartOptions) {
  return { contents, set, remove, merge, clear }

  async function contents(owner: string): Promise<CartContents> {
    const { id, ...quantities } = await redis.hgetall(keys.key(owner))
    const lines = Object.entries(quantities).map(([sku, quantity]) => ({ sku, quantity: Number(quantity) }))
    return { ...(id !== undefined && { id }), lines: lines.sort((a, b) => (a.sku < b.sku ? -1 : 1)) }
  }

  /** Throws `cart-full`. */
  async function set(owner: string, sku: string, quantity: number): Promise<void> {
    const done = await setLine(redis, [keys.key(owner)], [sku, quantity, maxCartLines, ttlMs, randomUUID()])
    if (done === 0) throw errors.cartFull()
  }

  async function remove(owner: string, ...skus: [string, ...string[]]): Promise<void> {
    await removeLines(redis, [keys.key(owner)], skus)
  }

  /**
   * Moves what is in `from` to `to`; returns what there is no room for, which stays in `from`. The two live in different slots: copy
   * first, remove then, and either may happen again.
   */
  async function merge(from: string, to: string): Promise<CartLine[]> {
    const { id, lines } = await contents(from)
    if (id === undefined) return []
    const args = lines.flatMap(({ sku, quantity }) => [sku, Math.min(quantity, maxLineQuantity)])
    const left = new Set(await mergeLines(redis, [keys.key(to)], [maxCartLines, ttlMs, randomUUID(), ...args]))
    const [first, ...others] = lines.map(({ sku }) => sku).filter((sku) => !left.has(sku))
    if (left.size === 0) await clear(from, id)
    else if (first !== undefined) await remove(from, first, ...others)
    return lines.filter(({ sku }) => left.has(sku))
  }

  /** Empties the cart, unless it is another one by now. */
  async function clear(owner: string, id: string): Promise<void> {
    await removeCart(redis, [keys.key(owner)], [id])
  }
}

export type Carts = ReturnType<typeof createCarts>
