import { closeRedis, connectRedis } from '@shop/redis-kit/client'
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
    await carts.merge('guest', 'ada')
    expect(await leftMs()).toBeGreaterThan(ttlMs / 2)
    expect(await leftMs()).toBeLessThanOrEqual(ttlMs)
  })

  it('that is merged twice, as after a crash in between, is as if it was merged once', async () => {
    const { carts } = startCarts()
    await carts.set('ada', 'TEA-1', 1)
    const guest = async () => {
      await carts.set('guest', 'TEA-1', 3)
      await carts.set('guest', 'MUG-1', 2)
    }
    await guest()
    await carts.merge('guest', 'ada')
    await guest()
    await carts.merge('guest', 'ada')
    expect((await carts.contents('ada')).lines).toEqual([
      { sku: 'MUG-1', quantity: 2 },
      { sku: 'TEA-1', quantity: 3 },
    ])
    expect(await carts.contents('guest')).toEqual({ lines: [] })
  })

  it('never has more than its limit of lines, also by merging', async () => {
    const { carts } = startCarts()
    for (let i = 0; i < 30; i++) {
      await carts.set('ada', `A-${i}`, 1)
      await carts.set('guest', `G-${i}`, 1)
    }
    const waiting = await carts.merge('guest', 'ada')
    expect((await carts.contents('ada')).lines).toHaveLength(50)
    expect(waiting).toHaveLength(10)
    await expect(carts.set('ada', 'ONE-MORE', 1)).rejects.toMatchObject({ code: 'cart-full' })
    await carts.set('ada', 'A-0', 5)
  })

  it('takes what it has no room for when it has, and loses none of it meanwhile', async () => {
    const { redis, keys, carts } = startCarts()
    for (let i = 10; i < 60; i++) await carts.set('ada', `A-${i}`, 1)
    await carts.set('guest', 'A-10', 9)
    for (const sku of ['G-1', 'G-2']) await carts.set('guest', sku, 3)
    const waiting = ['G-1', 'G-2'].map((sku) => ({ sku, quantity: 3 }))
    expect(await carts.merge('guest', 'ada')).toEqual(waiting)
    expect((await carts.contents('guest')).lines).toEqual(waiting)
    expect((await carts.contents('ada')).lines[0]).toEqual({ sku: 'A-10', quantity: 9 })

    await redis.pexpire(keys.key('ada'), 1_000)
    expect(await carts.merge('guest', 'ada')).toEqual(waiting) // asked again: said again, and nothing lives longer by it
    expect(await redis.pttl(keys.key('ada'))).toBeLessThanOrEqual(1_000)

    await carts.remove('ada', 'A-20')
    expect(await carts.merge('guest', 'ada')).toEqual([{ sku: 'G-2', quantity: 3 }])
    await carts.remove('ada', 'A-21', 'A-22')
    expect(await carts.merge('guest', 'ada')).toEqual([])
    expect(await carts.contents('guest')).toEqual({ lines: [] })
    const { lines } = await carts.contents('ada')
    expect(lines).toHaveLength(49)
    expect(lines).toEqual(expect.arrayContaining(waiting))
  })

  it('is emptied only if it is still the one that was ordered, and gone with its last line', async () => {
    const { redis, keys, carts } = startCarts()
    await carts.set('ada', 'TEA-1', 1)
    const { id = '' } = await carts.contents('ada')
    await carts.clear('ada', id)
    await carts.set('ada', 'MUG-1', 1)
    await carts.clear('ada', id)
    expect((await carts.contents('ada')).lines).toEqual([{ sku: 'MUG-1', quantity: 1 }])
    await carts.remove('ada', 'MUG-1')
    expect(await redis.exists(keys.key('ada'))).toBe(0)
  })
})
