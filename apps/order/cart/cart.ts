/**
 * Carts in Redis: one hash each, for customers and for guests.
 *
 * A cart has an id from its first line until an order takes lines out of it; what is left is another cart, with another id. So one cart
 * becomes one order, and its lines leave once, however often and by whichever process that is tried. A cart remembers the ids of
 * the last twenty guests' carts and orders whose lines came into it, so that each comes in once. Every write may be repeated: the
 * kit may send it again when an answer is lost.
 */
import { randomUUID } from 'node:crypto'
import { type CartLine, maxCartLines, maxLineQuantity } from '@shop/contracts/cart'
import { Sku } from '@shop/contracts/product'
import type { Redis } from '@shop/redis-kit/connection'
import { isWrongType } from '@shop/redis-kit/errors'
import { type KeyFamily, keyFamily } from '@shop/redis-kit/keys'
import { script } from '@shop/redis-kit/script'
import { createCheck } from '@shop/service-kit/http/validation'
import { errors } from '../errors.ts'

const setLine = script<0 | 1>(new URL('./set-line.lua', import.meta.url), { effect: 'idempotent' })
const removeLine = script<1>(new URL('./remove.lua', import.meta.url), { effect: 'idempotent' })
const takeLines = script<0 | 1>(new URL('./take.lua', import.meta.url), { effect: 'idempotent' })
const beginMove = script<[moveId?: string, ...pairs: string[]]>(new URL('./begin-move.lua', import.meta.url), {
  effect: 'idempotent',
})
const endMove = script<number>(new URL('./end-move.lua', import.meta.url), { effect: 'idempotent' })
const mergeLines = script<Merged>(new URL('./merge.lua', import.meta.url), { effect: 'idempotent' })
const admitWaiting = script<number>(new URL('./admit.lua', import.meta.url), { effect: 'idempotent' })
const mendCart = script<1>(new URL('./mend.lua', import.meta.url), { effect: 'idempotent' })
type Merged = 'merged' | 'seen' | 'no-room'

const dayMs = 24 * 60 * 60 * 1000
const longestTtlMs = 365 * dayMs
/** How long an empty cart remembers what was merged into it: longer than a merge or a return may be repeated. */
const rememberMs = dayMs
/** Four orders of a full cart each may wait, when the cart is full. */
const maxWaitingLines = 4 * maxCartLines

/**
 * `order:cart:<owner>`, a hash. `id`; a quantity per sku; a quantity per `waits:<sku>`, which has no room; `seen`, the sources of
 * merged lines; while a guest's cart is moved, `moving` and a quantity per `moves:<sku>`.
 */
export function cartKeys(service: string): KeyFamily {
  return keyFamily({
    service,
    pattern: `${service}:cart:<owner>`,
    type: 'hash',
    role: 'state',
    ttl: { ms: longestTtlMs },
    example: ['u-2f1e4f0a-6a53-4b0e-9d43-0d3c0a2b7a11'],
    hidden: 'personal data: what one person means to buy',
    doc: 'a cart: its id, the quantity of each SKU, the lines that wait for room, and the sources of merged lines',
  })
}

export interface CartContents {
  /** Absent when there is no cart. */
  id?: string
  lines: CartLine[]
  /** What has no room; comes in when there is. */
  waiting: CartLine[]
}

/** Lines of a cart that was read, or of the order that it became. */
export interface TakenLines {
  cartId: string
  lines: readonly CartLine[]
}

export interface CartOptions {
  keys: KeyFamily
  /** How long a cart is kept after its last change. */
  ttlMs: number
}

/** An owner is `u-<user id>` or `g-<digest of the cookie>`. Rejects as every command does, see redis-kit/errors. */
export function createCarts(redis: Redis, { keys, ttlMs }: CartOptions) {
  return { contents, look, set, remove, move, take, giveBack }

  async function contents(owner: string): Promise<CartContents> {
    const found = await mending(owner, () => redis.hgetall(keys.key(owner)))
    if (!isWhole(found)) await mend(owner)
    const fields = isWhole(found) ? found : await redis.hgetall(keys.key(owner))
    const [lines, waiting] = [linesIn(fields, /^([A-Z0-9].*)$/), linesIn(fields, /^waits:(.*)$/)]
    return { ...(fields.id !== undefined && { id: fields.id }), lines, waiting }
  }

  /** Damaged or foreign fields leave the cart; the rest of it stays. */
  async function mend(owner: string): Promise<void> {
    await mendCart(redis, [keys.key(owner)], [randomUUID(), maxLineQuantity, ttlMs])
  }

  /** Settles as `work` does. Another type than a hash holds no line: it is removed, and the work is done once more. */
  async function mending<Value>(owner: string, work: () => Promise<Value>): Promise<Value> {
    try {
      return await work()
    } catch (error) {
      if (!isWrongType(error)) throw error
      await mend(owner)
      return await work()
    }
  }

  /** As `contents`; what waits comes in first, as far as there is room. */
  async function look(owner: string): Promise<CartContents> {
    const found = await contents(owner)
    if (found.waiting.length === 0 || found.lines.length >= maxCartLines) return found
    await admitWaiting(redis, [keys.key(owner)], [maxCartLines, ttlMs])
    return contents(owner)
  }

  /** Throws `cart-full`. */
  async function set(owner: string, sku: string, quantity: number): Promise<void> {
    const args = [sku, quantity, maxCartLines, ttlMs, randomUUID()]
    const done = await mending(owner, () => setLine(redis, [keys.key(owner)], args))
    if (done === 0) throw errors.cartFull()
  }

  async function remove(owner: string, sku: string): Promise<void> {
    await mending(owner, () => removeLine(redis, [keys.key(owner)], [sku, rememberMs]))
  }

  /**
   * Moves the lines of `from` to `to`. The two live in different slots, so it takes three steps; a move that broke off is ended by the
   * next call, with the same lines. False when lines are left in `from`: new ones came meanwhile, or too much waits in `to`.
   */
  async function move(from: string, to: string): Promise<boolean> {
    const [moveId, ...pairs] = await mending(from, () => beginMove(redis, [keys.key(from)], [randomUUID()]))
    if (moveId === undefined) return true
    if ((await merge(to, moveId, pairs)) === 'no-room') return false
    return (await endMove(redis, [keys.key(from)], [moveId])) === 0
  }

  /** What was ordered leaves the cart, once; what was added since stays. */
  async function take(owner: string, { cartId, lines }: TakenLines): Promise<void> {
    const args = [cartId, randomUUID(), ttlMs, rememberMs, ...pairsOf(lines)]
    await mending(owner, () => takeLines(redis, [keys.key(owner)], args))
  }

  /** The lines of an order that came to nothing are in the cart again, or wait there for room; once per order. */
  async function giveBack(owner: string, orderId: string, lines: readonly CartLine[]): Promise<'done' | 'no-room'> {
    return (await merge(owner, orderId, pairsOf(lines))) === 'no-room' ? 'no-room' : 'done'
  }

  function merge(owner: string, sourceId: string, pairs: readonly (string | number)[]): Promise<Merged> {
    const limits = [maxCartLines, maxWaitingLines, maxLineQuantity, ttlMs]
    const args = [sourceId, ...limits, randomUUID(), ...pairs]
    return mending(owner, () => mergeLines(redis, [keys.key(owner)], args))
  }
}

export type Carts = ReturnType<typeof createCarts>

function pairsOf(lines: readonly CartLine[]): (string | number)[] {
  return lines.flatMap(({ sku, quantity }) => [sku, quantity])
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i
const checkSku = createCheck(Sku)

/** Is all of it as this file writes it? Then it can be ordered: Postgres takes its id and its quantities. */
function isWhole(fields: Record<string, string>): boolean {
  const names = Object.keys(fields)
  return names.every((name) => isField(name, fields[name] as string)) && (names.length === 0 || fields.id !== undefined)
}

function isField(name: string, value: string): boolean {
  if (name === 'seen') return true
  if (name === 'id' || name === 'moving') return UUID.test(value)
  return checkSku(name.replace(/^(?:waits|moves):/, '')).length === 0 && /^[1-9]\d?$/.test(value)
}

/** By sku. @param pattern whose first group is the sku */
function linesIn(fields: Record<string, string>, pattern: RegExp): CartLine[] {
  const lines = Object.entries(fields).flatMap(([field, quantity]) => {
    const sku = pattern.exec(field)?.[1]
    return sku === undefined ? [] : [{ sku, quantity: Number(quantity) }]
  })
  return lines.sort((a, b) => (a.sku < b.sku ? -1 : 1))
}
