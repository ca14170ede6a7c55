/** Keys of a lock that no holder wrote: the lock is free after the longest time of any holder, and fences go on. */
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { damagedTexts, plant, typesExcept } from '../damage.fixture.ts'
import { createLock, type Held, lockKeys } from './lock.ts'

const server = await testRedis()
const LONGEST_MS = 400

async function setUp() {
  const redis = connectRedis(server.url, { name: 'damage', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  const keys = lockKeys(server.namespace(), 'test', { longestMs: LONGEST_MS })
  const lock = createLock(redis, { keys, ttlMs: LONGEST_MS })
  return { lock, plain: server.connect(), lockKey: keys.lock.key('r'), fenceKey: keys.fence.key('r') }
}

test.each(['string', ...typesExcept('string')] as const)(
  'a %s without expiry in the place of the lock is taken until no holder could have it, and then free',
  async (type) => {
    const { lock, plain, lockKey } = await setUp()
    await plant(plain, lockKey, type)
    expect(await lock.acquire('r')).toEqual({ status: 'taken', retryAfterMs: LONGEST_MS })
    expect(await lock.acquire('r', { waitMs: 20_000 })).toMatchObject({ status: 'acquired' })
  },
)

test('a lock that lasts for years is free after the longest time', async () => {
  const { lock, plain, lockKey } = await setUp()
  await plain.set(lockKey, 'foreign', 'PX', 10 ** 12)
  expect(await lock.acquire('r', { waitMs: 20_000 })).toMatchObject({ status: 'acquired' })
})

test.each(typesExcept('string'))('a holder whose lock became a %s has lost it', async (type) => {
  const { lock, plain, lockKey } = await setUp()
  const held = (await lock.acquire('r')) as Held
  await plant(plain, lockKey, type)
  await plain.pexpire(lockKey, 60_000)
  expect(await held.release()).toBe(false)
})

test.each(typesExcept('string'))('a %s in the place of the fence is replaced', async (type) => {
  const { lock, plain, fenceKey } = await setUp()
  await plant(plain, fenceKey, type)
  const first = (await lock.acquire('r')) as Held
  expect(first.fence).toBeGreaterThan(10 ** 15)
  await first.release()
  expect(((await lock.acquire('r')) as Held).fence).toBeGreaterThan(first.fence)
})

test('whatever text is in the place of the fence, the next two fences grow and are whole numbers', async () => {
  const { lock, plain, fenceKey } = await setUp()
  for (const { text, where } of damagedTexts(100, () => `${Date.now() * 1_000}`)) {
    await plain.set(fenceKey, text)
    const fences: number[] = []
    for (let n = 0; n < 2; n++) {
      const held = (await lock.acquire('r', { waitMs: 20_000 })) as Held
      fences.push(held.fence)
      await held.release()
    }
    expect(fences.every(Number.isSafeInteger), where).toBe(true)
    expect(fences[1], where).toBeGreaterThan(fences[0] as number)
    expect(await plain.pttl(fenceKey), where).toBeGreaterThan(0)
  }
})
