import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { testRedis } from '@shop/test-kit/redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cartKeys, createCarts } from './cart.ts'

const server = await testRedis()
const ttlMs = 60_000

function startCarts() {
  const redis = connectRedis(server.url, { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  const keys = cartKeys(server.namespace())
  return { redis, keys, carts: createCarts(redis, { keys, ttlMs }) }
}

describe('a cart', () => {
  it('is forgotten some time after its last change, whatever changed it', async () => {
    const { redis, keys, carts } = startCarts()
    const leftMs = () => redis.pttl(keys.key('ada'))
    const age = () => redis.pexpire(keys.key('ada'), 1_000)
    await carts.set('ada', 'TEA-1', 1)
    expect(await leftMs()).toBeGreaterThan(ttlMs / 2)
    await age()
    await carts.set('ada', 'TEA-1', 2)
    expect(await leftMs()).toBeGreaterThan(ttlMs / 2)
    await age()
    await carts.set('guest', 'MUG-1', 1)
    await carts.move('guest', 'ada')
    expect(await leftMs()).toBeGreaterThan(ttlMs / 2)
    expect(await leftMs()).toBeLessThanOrEqual(ttlMs)
  })

  it('moves to another once, whatever breaks off in between: what was ordered or taken out does not come back', async () => {
    const { redis, keys, carts } = startCarts()
    for (const sku of ['MUG-1', 'TEA-1']) await carts.set('guest', sku, 2)
    const before = await redis.hgetall(keys.key('guest'))
    expect(await carts.move('guest', 'ada')).toBe(true)
    const { id = '', lines } = await carts.contents('ada')
    expect(lines).toEqual(['MUG-1', 'TEA-1'].map((sku) => ({ sku, quantity: 2 })))
    await carts.remove('ada', 'MUG-1')
    await carts.take('ada', { cartId: id, lines: [{ sku: 'TEA-1', quantity: 2 }] })
    expect((await carts.contents('ada')).lines).toEqual([])

    // As it was when the process died after the copy.
    const [moveId = ''] = (await redis.hget(keys.key('ada'), 'seen'))?.trim().split(' ') ?? []
    const moved = Object.entries(before).filter(([field]) => field !== 'id')
    await redis.hset(keys.key('guest'), { moving: moveId, 'TEA-9': 1 })
    for (const [sku, quantity] of moved) await redis.hset(keys.key('guest'), `moves:${sku}`, quantity)
    expect(await carts.move('guest', 'ada')).toBe(false) // a new line came meanwhile
    expect((await carts.contents('ada')).lines).toEqual([])
    expect(await carts.move('guest', 'ada')).toBe(true)
    expect((await carts.contents('ada')).lines).toEqual([{ sku: 'TEA-9', quantity: 1 }])
    expect(await redis.exists(keys.key('guest'))).toBe(0)
  })

  it('never has more than its limit of lines: what has no room waits, and comes in when there is', async () => {
    const { redis, keys, carts } = startCarts()
    for (let i = 10; i < 60; i++) await carts.set('ada', `A-${i}`, 1)
    await carts.set('guest', 'A-10', 9)
    for (const sku of ['G-1', 'G-2', 'G-3']) await carts.set('guest', sku, 3)
    expect(await carts.move('guest', 'ada')).toBe(true)
    const full = await carts.look('ada')
    expect([full.lines.length, full.lines[0]]).toEqual([50, { sku: 'A-10', quantity: 9 }])
    expect(full.waiting).toEqual(['G-1', 'G-2', 'G-3'].map((sku) => ({ sku, quantity: 3 })))
    await expect(carts.set('ada', 'G-1', 1)).rejects.toMatchObject({ code: 'cart-full' })

    await redis.pexpire(keys.key('ada'), 1_000)
    expect(await carts.look('ada')).toEqual(full) // looking makes nothing live longer
    expect(await redis.pttl(keys.key('ada'))).toBeLessThanOrEqual(1_000)

    await carts.remove('ada', 'G-1')
    await carts.remove('ada', 'A-20')
    expect((await carts.look('ada')).waiting).toEqual([{ sku: 'G-3', quantity: 3 }])
    for (const sku of ['A-21', 'A-22']) await carts.remove('ada', sku)
    await carts.set('ada', 'G-3', 5)
    const { lines, waiting } = await carts.look('ada')
    expect([lines.length, waiting]).toEqual([49, []])
    expect(lines).toEqual(
      expect.arrayContaining([
        { sku: 'G-2', quantity: 3 },
        { sku: 'G-3', quantity: 5 },
      ]),
    )
  })

  it('loses exactly what was ordered, once', async () => {
    const { redis, keys, carts } = startCarts()
    await carts.set('ada', 'TEA-1', 2)
    await carts.set('ada', 'MUG-1', 1)
    const { id = '', lines } = await carts.contents('ada')
    await carts.set('ada', 'TEA-1', 5)
    await carts.set('ada', 'POT-1', 1)
    await carts.remove('ada', 'MUG-1')
    const left = [
      { sku: 'POT-1', quantity: 1 },
      { sku: 'TEA-1', quantity: 3 },
    ]
    for (let attempt = 0; attempt < 3; attempt++) {
      await carts.take('ada', { cartId: id, lines })
      expect((await carts.contents('ada')).lines).toEqual(left)
    }
    const rest = await carts.contents('ada')
    expect(rest.id).not.toBe(id)
    await carts.take('ada', { cartId: rest.id ?? '', lines: left })
    expect(await redis.exists(keys.key('ada'))).toBe(0)
  })

  it('has the lines of a refused order again, once per order, and the larger quantity of what is in both', async () => {
    const { redis, keys, carts } = startCarts()
    const lines = [
      { sku: 'MUG-1', quantity: 1 },
      { sku: 'TEA-1', quantity: 99 },
    ]
    await carts.set('ada', 'TEA-1', 2)
    const [first, second] = [randomUUID(), randomUUID()]
    expect(await carts.giveBack('ada', first, lines)).toBe('done')
    expect((await carts.contents('ada')).lines).toEqual(lines)
    for (const sku of ['MUG-1', 'TEA-1']) await carts.remove('ada', sku)
    expect(await carts.giveBack('ada', first, lines)).toBe('done')
    expect((await carts.contents('ada')).lines).toEqual([])
    expect(await redis.pttl(keys.key('ada'))).toBeGreaterThan(0)
    expect(await carts.giveBack('ada', second, lines)).toBe('done')
    expect((await carts.contents('ada')).lines).toEqual(lines)
  })

  it('holds back at most two hundred lines: an order beyond that stays out as a whole', async () => {
    const { carts } = startCarts()
    const lines = (letter: string) =>
      Array.from({ length: 50 }, (_, i) => ({ sku: `${letter}-${10 + i}`, quantity: 1 }))
    for (const letter of ['A', 'B', 'C', 'D', 'E']) {
      expect(await carts.giveBack('ada', randomUUID(), lines(letter))).toBe('done')
    }
    expect(await carts.giveBack('ada', randomUUID(), lines('F'))).toBe('no-room')
    await carts.set('guest', 'G-1', 1)
    expect(await carts.move('guest', 'ada')).toBe(false)
    const { lines: inCart, waiting } = await carts.contents('ada')
    expect([inCart.length, waiting.length]).toEqual([50, 200])
    await carts.remove('ada', 'E-10')
    expect(await carts.move('guest', 'ada')).toBe(true)
  })

  it('is gone with its last line', async () => {
    const { redis, keys, carts } = startCarts()
    await carts.set('ada', 'MUG-1', 1)
    await carts.remove('ada', 'MUG-1')
    expect(await redis.exists(keys.key('ada'))).toBe(0)
  })
})
