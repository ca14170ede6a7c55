/**
 * Shoppers, guests, checkouts and refusals at one cart, in random orders: each command waits for its turn, which a seed decides. Whatever
 * the order, each line that was put in is in one place at the end: in an order that stands, or in a cart.
 */
import { randomUUID } from 'node:crypto'
import type { CartLine } from '@shop/contracts/cart'
import { closeRedis, connectRedis, type Redis } from '@shop/redis-kit/connection'
import { createRandom, integerOf, type Random } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { afterAll, expect, it } from 'vitest'
import { type Carts, cartKeys, createCarts } from './cart.ts'

const server = await testRedis()
const redis = connectRedis(server.url, { name: 'test' })
afterAll(() => closeRedis(redis))

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const roundCount = 200

/** Lets one command through at a time, a random one of those that wait. */
function createTurns(random: Random) {
  const waiting: (() => Promise<unknown>)[] = []
  return { through, until }

  function take<Result>(work: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => waiting.push(() => work().then(resolve, reject)))
  }

  function through(to: Redis): Redis {
    return new Proxy(to, {
      get(target, name) {
        if (name === 'hgetall') return (key: string) => take(() => target.hgetall(key))
        if (name !== 'sendCommand') return Reflect.get(target, name, target)
        return (command: { promise: Promise<unknown> }) => {
          void take(() => {
            target.sendCommand(command as never)
            return command.promise.catch(() => {})
          })
          return command.promise
        }
      },
    })
  }

  async function until(actors: readonly Promise<unknown>[]): Promise<void> {
    let isOver = false
    const all = Promise.all(actors).finally(() => {
      isOver = true
    })
    while (!isOver) {
      await new Promise(setImmediate)
      const [next] = waiting.splice(integerOf(random, 0, Math.max(0, waiting.length - 1)), 1)
      await next?.()
    }
    await all
  }
}

interface PlacedOrder {
  id: string
  cartId: string
  lines: readonly CartLine[]
  isRefused: boolean
}

/** What Postgres decides: one cart becomes one order. */
function createOrders(carts: Carts, random: Random) {
  const byCart = new Map<string, PlacedOrder>()
  return { all: () => [...byCart.values()], checkOut, settle }

  async function checkOut() {
    const { id: cartId, lines } = await carts.contents('u-ada')
    if (cartId === undefined || lines.length === 0) return
    const known = byCart.get(cartId)
    const order = known ?? { id: randomUUID(), cartId, lines, isRefused: random() < 0.3 }
    byCart.set(cartId, order)
    if (random() < 0.2) return // the process dies after its commit
    await carts.take('u-ada', order)
  }

  /** As the loop does, for one order. */
  async function settle(order: PlacedOrder) {
    await carts.take('u-ada', order)
    if (order.isRefused) await carts.giveBack('u-ada', order.id, order.lines)
  }
}

/** Plays one round; returns the lines that are in no place, or in two. */
async function misplaced(random: Random, change: (carts: Carts, redis: Redis) => Carts = (carts) => carts) {
  const keys = cartKeys(server.namespace())
  const turns = createTurns(random)
  const gated = turns.through(redis)
  const carts = change(createCarts(gated, { keys, ttlMs: 60_000 }), gated)
  const orders = createOrders(carts, random)
  const [expected, removed] = [new Map<string, number>(), new Set<string>()]
  let count = 0

  async function put(owner: string) {
    for (let i = 0; i < 4; i++) {
      const [sku, quantity] = [`SKU-${++count}`, integerOf(random, 1, 9)]
      await carts.set(owner, sku, quantity)
      expected.set(sku, quantity)
    }
  }
  const takeOutOne = async () => {
    const [sku] = expected.keys()
    if (sku === undefined) return
    removed.add(sku) // whether an order was faster or not
    await carts.remove('u-ada', sku)
  }
  const checkOut = async () => {
    for (let i = 0; i < 3; i++) await orders.checkOut()
  }
  const settleAll = async () => {
    for (let i = 0; i < 3; i++) {
      for (const order of orders.all()) await orders.settle(order)
      await carts.look('u-ada')
    }
  }
  const signIn = async () => void (await carts.move('g-ada', 'u-ada'))
  const actors = [
    put('u-ada'),
    put('u-ada'),
    put('g-ada'),
    takeOutOne(),
    checkOut(),
    checkOut(),
    settleAll(),
    settleAll(),
  ]
  await turns.until([...actors, signIn(), signIn(), signIn()])
  await turns.until([settleAll().then(signIn).then(signIn)])

  const { lines, waiting } = await (async () => {
    const look = carts.contents('u-ada')
    await turns.until([look])
    return look
  })()
  const standing = orders.all().filter(({ isRefused }) => !isRefused)
  const places = [...lines, ...waiting, ...standing.flatMap((order) => order.lines)]
  const found = Map.groupBy(places, ({ sku }) => sku)
  return [...expected].filter(([sku, quantity]) => {
    const total = (found.get(sku) ?? []).reduce((sum, line) => sum + line.quantity, 0)
    return removed.has(sku) ? total > quantity : total !== quantity
  })
}

it(`each line is in an order or in the cart, whatever comes between (SEED=${seed})`, { timeout: 120_000 }, async () => {
  const random = createRandom(seed)
  for (let round = 0; round < roundCount; round++) expect([round, await misplaced(random)]).toEqual([round, []])
})

/** What must be noticed. */
const mistakes: [string, (carts: Carts, redis: Redis) => Carts][] = [
  [
    'the whole cart leaves with the order',
    (carts) => ({
      ...carts,
      async take(owner, { cartId }) {
        const { id, lines } = await carts.contents(owner)
        if (id === cartId) await carts.take(owner, { cartId, lines })
      },
    }),
  ],
  [
    'lines are taken as often as that is tried',
    (carts) => ({
      ...carts,
      async take(owner, { lines }) {
        const { id = '' } = await carts.contents(owner)
        await carts.take(owner, { cartId: id, lines })
      },
    }),
  ],
  [
    'lines go back as often as that is tried',
    (carts) => ({ ...carts, giveBack: (owner, _, lines) => carts.giveBack(owner, randomUUID(), lines) }),
  ],
  [
    'a guest’s lines are copied and then removed, without a note of it',
    (carts) => ({
      ...carts,
      async move(from, to) {
        const { lines } = await carts.contents(from)
        await carts.giveBack(to, randomUUID(), lines)
        for (const { sku } of lines) await carts.remove(from, sku)
        return true
      },
    }),
  ],
]

it.each(mistakes)(`control: it is noticed when %s (SEED=${seed})`, { timeout: 120_000 }, async (_, change) => {
  const random = createRandom(seed)
  for (let round = 0; round < roundCount; round++) if ((await misplaced(random, change)).length > 0) return
  expect.unreachable('no round has shown it')
})
