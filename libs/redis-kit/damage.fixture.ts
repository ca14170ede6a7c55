/** What a key may hold that its pattern did not write: another type, another program's text, bytes that were damaged. */
import { createRandom, integerOf, oneOf, type Random } from '@shop/test-kit/random'
import type { Cluster, Redis } from 'ioredis'

const TYPES = {
  string: (redis: Redis | Cluster, key: string) => redis.set(key, 'foreign'),
  hash: (redis: Redis | Cluster, key: string) => redis.hset(key, 'foreign', 1),
  list: (redis: Redis | Cluster, key: string) => redis.rpush(key, 'foreign'),
  set: (redis: Redis | Cluster, key: string) => redis.sadd(key, 'foreign'),
  zset: (redis: Redis | Cluster, key: string) => redis.zadd(key, 1, 'foreign'),
  stream: (redis: Redis | Cluster, key: string) => redis.xadd(key, '*', 'foreign', '1'),
}
export type ForeignType = keyof typeof TYPES

export function typesExcept(declared: ForeignType): ForeignType[] {
  return (Object.keys(TYPES) as ForeignType[]).filter((type) => type !== declared)
}

/** Another type at the key, without expiry. */
export async function plant(redis: Redis | Cluster, key: string, type: ForeignType): Promise<void> {
  await redis.del(key)
  await TYPES[type](redis, key)
}

const TEXTS = [
  ...['', ' ', '-1', '-0', '0', '1e999', 'inf', '-inf', 'nan', '0x10', '1.5', 'null', '{}', '[', '{"a":', '__proto__'],
  ...['9007199254740993', '9223372036854775807', '9'.repeat(400), 'ÿ\u0000😀', 'undefined', 'x'.repeat(5_000)],
]

/** A text as it may be after damage: cut short, overwritten, or not ours at all. */
export function damage(random: Random, text: string): Buffer {
  const kind = integerOf(random, 0, 3)
  if (kind === 0) return Buffer.from(oneOf(random, TEXTS))
  const bytes = Buffer.from(text)
  if (kind === 1) return bytes.subarray(0, integerOf(random, 0, Math.max(0, bytes.length - 1)))
  const noise = Buffer.from(Array.from({ length: integerOf(random, 1, 20) }, () => integerOf(random, 0, 255)))
  if (kind === 2 || bytes.length === 0) return noise
  noise.copy(bytes, integerOf(random, 0, bytes.length - 1))
  return bytes
}

/** Printed with each failure; SEED=<number> repeats a run. */
export function newSeed(): number {
  return Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
}

/** Damaged texts, each with what a failure prints: which it was, and how to repeat the run. */
export function* damagedTexts(count: number, original: (random: Random) => string) {
  const seed = newSeed()
  const random = createRandom(seed)
  for (let round = 0; round < count; round++) {
    const text = damage(random, original(random))
    yield { text, where: `seed ${seed}, round ${round}: ${JSON.stringify(text.toString('latin1').slice(0, 60))}` }
  }
}

/** A time in microseconds, from 100 s ago to 11 days ahead. */
export function someTimeUs(random: Random): string {
  return `${(Date.now() + integerOf(random, -100_000, 10 ** 9)) * 1_000}`
}
