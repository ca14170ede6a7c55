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
    await carts.merge('guest', 'ada')
    expect((await carts.contents('ada')).lines).toHaveLength(50)
    await expect(carts.set('ada', 'ONE-MORE', 1)).rejects.toMatchObject({ code: 'cart-full' })
    await carts.set('ada', 'A-0', 5)
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
