/** gcra.lua and gcra-refund.lua by themselves, with the server's clock replaced by one that the test sets. */
import { readFileSync } from 'node:fs'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { decide, spacingOf } from './gcra.ts'

type Reply = [allowed: 0 | 1, remaining: number, retryAfterMs: number, resetAfterMs: number, tatUs: number]

/** Replaces `TIME` by two further arguments, and nothing else. */
function withClock(name: string, timeArgument: number) {
  const source = readFileSync(new URL(name, import.meta.url), 'utf8')
  const fake = source.replace("redis.call('TIME')", `{ ARGV[${timeArgument}], ARGV[${timeArgument + 1}] }`)
  if (fake === source) throw new Error(`${name} does not ask the server for the time`)
  return fake
}
const gcra = withClock('./algorithm/gcra.lua', 5)
const refund = withClock('./algorithm/gcra-refund.lua', 5)
const naiveRefund = refund.replace('or chargedTat <= now', '').replace(/^if not redis.call\('SET', marker.*$/m, '')

let server: Awaited<ReturnType<typeof startRedis>>
let redis: Redis
let key: string
let keyCount = 0

beforeAll(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})
beforeEach(() => {
  key = `test:${keyCount++}`
})

const timeOf = (us: number) => [Math.floor(us / 1e6), us % 1e6]

function check(nowUs: number, { intervalUs, toleranceUs }: ReturnType<typeof spacingOf>, cost = 1) {
  const args = [intervalUs, toleranceUs, cost, 'check', ...timeOf(nowUs)]
  return redis.eval(gcra, 1, key, ...args) as Promise<Reply>
}
const spacing = spacingOf({ count: 10, periodMs: 10_000, burst: 5 }) // one a second, five at once

function giveBack(script: string, nowUs: number, tatUs: number) {
  const args = [spacing.intervalUs, spacing.toleranceUs, 1, tatUs, ...timeOf(nowUs)]
  return redis.eval(script, 2, key, `${key}:refund:${tatUs}`, ...args) as Promise<0 | 1>
}
const START_US = Date.now() * 1000

/** Whole numbers that look random and are the same on every run. */
const numbers = (seed: number) => (n: number) => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * n)
}

test.each([1, 2, 3])('the script decides like the pure function, clock steps included (seed %i)', async (seed) => {
  const pick = numbers(seed)
  let [nowUs, tatUs] = [START_US, 0]
  for (let i = 0; i < 400; i++) {
    nowUs += pick(8) === 0 ? pick(20_000_000) - 10_000_000 : pick(1_500_000)
    const cost = 1 + pick(6)
    const verdict = decide(tatUs, nowUs, spacing, cost)
    const [allowed, remaining, retryAfterMs, resetAfterMs, tat] = await check(nowUs, spacing, cost)
    const { tatUs: expectedTat, ...rest } = verdict
    expect({ allowed: allowed === 1, remaining, retryAfterMs, resetAfterMs }).toEqual(rest)
    expect(tat).toBe(expectedTat)
    tatUs = expectedTat
    await redis.set(key, tat) // the key's expiry follows the real clock, which stands still against this one
  }
})

test('the arrival time is stored as an exact integer that expires when the bucket is full', async () => {
  const nowUs = START_US + 123
  const [, , , resetAfterMs, tat] = await check(nowUs, spacing)
  expect(await redis.get(key)).toBe(String(nowUs + 1_000_000))
  expect(tat).toBe(nowUs + 1_000_000)
  expect(resetAfterMs).toBe(1000)
  expect(await redis.pttl(key)).toBeGreaterThan(900)
  expect(await redis.incrby(key, 1)).toBe(tat + 1) // Redis agrees that it is an integer
})

test('a limit faster than a millisecond leaves a key behind', async () => {
  const [allowed, , , resetAfterMs] = await check(START_US, spacingOf({ count: 10_000, periodMs: 1000, burst: 1 }))
  expect([allowed, resetAfterMs]).toEqual([1, 1])
})

test('a denial writes nothing and does not prolong the wait', async () => {
  for (let i = 0; i < 5; i++) await check(START_US, spacing)
  const before = await redis.get(key)
  for (const laterUs of [0, 100_000, 900_000]) {
    const [allowed, , retryAfterMs] = await check(START_US + laterUs, spacing)
    expect([allowed, retryAfterMs]).toEqual([0, 1000 - laterUs / 1000])
  }
  expect(await redis.get(key)).toBe(before)
  expect((await check(START_US + 1_000_000, spacing))[0]).toBe(1)
})

test('a cost above the burst is denied for ever and takes nothing', async () => {
  expect(await check(START_US, spacing, 6)).toEqual([0, 5, -1, 0, START_US])
  expect(await redis.exists(key)).toBe(0)
  expect((await check(START_US, spacing, 5))[0]).toBe(1)
})

test('after a failover to a clock that is 30 s behind, no wait is longer than one burst takes to refill', async () => {
  for (let i = 0; i < 5; i++) await check(START_US, spacing)
  const behindUs = START_US - 30_000_000
  const [allowed, , retryAfterMs, resetAfterMs] = await check(behindUs, spacing)
  expect([allowed, retryAfterMs, resetAfterMs]).toEqual([0, 1000, 5000])
  expect((await check(behindUs + 1_000_000, spacing))[0]).toBe(1)
})

test('control: a clamp that is not written back locks out for as long as the clocks differ', async () => {
  const forgetful = gcra.replace('or isAstray then', 'then')
  const ask = (nowUs: number) => redis.eval(forgetful, 1, key, 1e6, 5e6, 1, 'check', ...timeOf(nowUs)) as Promise<Reply>
  for (let i = 0; i < 5; i++) await ask(START_US)
  for (const seconds of [0, 1, 5, 10, 20, 29]) expect((await ask(START_US - 30e6 + seconds * 1e6))[0]).toBe(0)
})

test('a refund takes back exactly what was charged', async () => {
  const charges = await Promise.all(Array.from({ length: 5 }, () => check(START_US, spacing)))
  const tat = charges[1]?.[4] ?? 0
  expect(await giveBack(refund, START_US + 200_000, tat)).toBe(1)
  expect(await redis.get(key)).toBe(String(START_US + 4_000_000))
  expect((await check(START_US + 200_000, spacing))[0]).toBe(1)
  expect((await check(START_US + 200_000, spacing))[0]).toBe(0)
})

test('a refund of everything leaves no key', async () => {
  const [, , , , tat] = await check(START_US, spacing)
  expect(await giveBack(refund, START_US + 1000, tat)).toBe(1)
  expect(await redis.exists(key)).toBe(0)
})

/** An old charge has drained, the burst is used up, then the old charge is given back: does that make room? */
async function lateRefund(script: string) {
  const [, , , , tat] = await check(START_US, spacing)
  const laterUs = START_US + 60_000_000
  for (let i = 0; i < 5; i++) await check(laterUs, spacing)
  await giveBack(script, laterUs, tat)
  return (await check(laterUs, spacing))[0]
}

test('a refund that comes after the charge has drained admits no request beyond the limit', async () => {
  expect(await lateRefund(refund)).toBe(0)
})

test('control: a refund that does not look at the clock does', async () => {
  expect(await lateRefund(naiveRefund)).toBe(1)
})

test('a broken expiry is no permanent ban: the next admission repairs it', async () => {
  await redis.set(key, String(START_US + 5_000_000)) // no TTL
  expect((await check(START_US, spacing))[0]).toBe(0)
  expect((await check(START_US + 1_000_000, spacing))[0]).toBe(1)
  expect(await redis.pttl(key)).toBeGreaterThan(0)
})

test('a full server still limits, by the allow-oom flag', async () => {
  const full = await startRedis({ config: { 'maxmemory-policy': 'noeviction' } })
  const client = new Redis(full.url)
  try {
    await client.config('SET', 'maxmemory', '500kb') // less than an empty server needs
    await expect(client.set('fill', 'x')).rejects.toThrow('OOM')
    const script = (source: string) => client.eval(source, 1, 'limit', 1e6, 5e6, 1, 'check', ...timeOf(START_US))
    await expect(script(gcra.replace(/^#!.*\n/, ''))).rejects.toThrow('OOM') // control
    expect(await script(gcra)).toEqual([1, 4, 0, 1000, START_US + 1e6])
  } finally {
    client.disconnect()
    await full.stop()
  }
})
