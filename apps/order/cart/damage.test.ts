/** Carts that hold what this service does not write: the sound lines stay, the rest leaves, and the cart can be ordered. */
import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { damage, newSeed, plant, typesExcept } from '@shop/redis-kit/damage.fixture'
import { createRandom, integerOf, oneOf } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cartKeys, createCarts } from './cart.ts'

const server = await testRedis()
const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

function startCarts() {
  const redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  const keys = cartKeys(server.namespace())
  return { plain: server.connect(), keys, carts: createCarts(redis, { keys, ttlMs: 60_000 }) }
}
type Started = ReturnType<typeof startCarts>

/** All that a shopper and the service do with a cart. */
async function everything({ carts }: Started, owner: string) {
  await carts.look(owner)
  await carts.remove(owner, 'MUG-1')
  await carts.set(owner, 'TEA-1', 2)
  await carts.giveBack(owner, randomUUID(), [{ sku: 'POT-1', quantity: 3 }])
  const { id = '', lines } = await carts.contents(owner)
  expect(id).toMatch(uuid)
  for (const { sku, quantity } of lines) {
    expect(sku).toMatch(/^[A-Z0-9-]{3,32}$/)
    expect(quantity >= 1 && quantity <= 99, `${sku}: ${quantity}`).toBe(true)
  }
  expect(lines).toContainEqual({ sku: 'TEA-1', quantity: 2 })
  await carts.take(owner, { cartId: id, lines })
  expect((await carts.look(owner)).lines).toEqual([])
}

describe('a damaged cart', () => {
  it.each(typesExcept('hash'))('of the type %s is an empty one', async (type) => {
    const started = startCarts()
    const { plain, keys, carts } = started
    const works: (() => Promise<unknown>)[] = [
      async () => expect(await carts.look('ada')).toEqual({ lines: [], waiting: [] }),
      () => carts.set('ada', 'TEA-1', 1),
      () => carts.remove('ada', 'TEA-1'),
      () => carts.take('ada', { cartId: randomUUID(), lines: [{ sku: 'TEA-1', quantity: 1 }] }),
      () => carts.giveBack('ada', randomUUID(), [{ sku: 'TEA-1', quantity: 1 }]),
      async () => expect(await carts.move('ada', 'ben')).toBe(true),
      () => carts.set('ben', 'TEA-1', 1).then(() => carts.move('ben', 'ada')),
    ]
    for (const work of works) {
      await plant(plain, keys.key('ada'), type)
      await work()
    }
    await plain.del(keys.key('ada'))
    await everything(started, 'ada')
  })

  it.each([
    ['id', undefined],
    ['id', 'foreign'],
    ['id', '0-0'],
    ['foreign', '1'],
    ['A b', '1'],
    ['A', '1'],
    ['CUP-1', 'foreign'],
    ['CUP-1', '-1'],
    ['CUP-1', '0'],
    ['CUP-1', 'nan'],
    ['CUP-1', '1.5'],
    ['waits:CUP-1', '1e9'],
    ['moves:CUP-1', ''],
    ['moving', 'foreign'],
  ])('with %s = %s keeps its other lines and gets an id', async (field, value) => {
    const started = startCarts()
    const { plain, keys, carts } = started
    await carts.set('ada', 'MUG-1', 4)
    if (value === undefined) await plain.hdel(keys.key('ada'), field)
    else await plain.hset(keys.key('ada'), field, value)
    const { id, ...rest } = await carts.look('ada')
    expect(id).toMatch(uuid)
    expect(rest).toEqual({ lines: [{ sku: 'MUG-1', quantity: 4 }], waiting: [] })
    expect((await carts.look('ada')).id).toBe(id)
    await everything(started, 'ada')
  })

  it('with a quantity above the most of a line has the most', async () => {
    const { plain, keys, carts } = startCarts()
    await carts.set('ada', 'MUG-1', 4)
    await plain.hset(keys.key('ada'), 'TEA-1', '3000000000')
    expect((await carts.look('ada')).lines).toContainEqual({ sku: 'TEA-1', quantity: 99 })
  })

  it('of a guest is moved without what is damaged, whatever that is', async () => {
    const started = startCarts()
    const { plain, keys, carts } = started
    const seed = newSeed()
    const random = createRandom(seed)
    for (let round = 0; round < 150; round++) {
      const [guest, owner] = [`g-${round}`, `u-${round}`]
      for (const sku of ['MUG-1', 'CUP-1']) await carts.set(guest, sku, 3)
      await carts.set(owner, 'CUP-1', 1)
      for (const name of [guest, owner]) {
        const key = keys.key(name)
        const fields = Object.entries({
          ...(await plain.hgetall(key)),
          'waits:TIN-1': '2',
          'moves:CAN-1': '5',
          moving: randomUUID(),
        })
        for (let n = integerOf(random, 1, 3); n > 0; n--) {
          const [field, value] = oneOf(random, fields)
          const isNameHarmed = integerOf(random, 0, 2) === 0
          await plain.hset(
            key,
            isNameHarmed ? damage(random, field) : field,
            isNameHarmed ? value : damage(random, value),
          )
        }
      }
      const where = `seed ${seed}, round ${round}`
      await expect(carts.move(guest, owner), where).resolves.toBeTypeOf('boolean')
      await expect(everything(started, owner), where).resolves.toBeUndefined()
      await expect(everything(started, guest), where).resolves.toBeUndefined()
    }
  })
})
