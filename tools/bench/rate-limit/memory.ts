/** The memory of Redis for one id after so many requests. */
import type { Redis } from 'ioredis'
import { connectPlain } from '../harness/plain-redis.ts'
import type { Running, Sample, Table } from '../harness/suite.ts'
import { raw, textbook } from './by-hand.ts'
import { contendersOf, type Limit, type Limiter, type Limiting, type Servers } from './limiter.ts'
import { ours } from './ours.ts'
import { peers } from './peers.ts'

const limit: Limit = { count: 2_000, periodMs: 24 * 3_600_000 }
const requestCounts = [1, 10, 100, 1_000] as const
const nameBytes = 60
const atOnce = 50

async function weighing({ id, open }: Limiting, { redisUrl }: Servers): Promise<Running> {
  const space = `memory-${id}`
  const limiter = await open({ redisUrl, limit, space })
  const redis = connectPlain(redisUrl)
  await take(limiter, 'x', 1)
  const [key = ''] = await keysOf(redis, space)
  const padding = 'x'.repeat(nameBytes - key.length)

  async function measure(): Promise<Sample> {
    const sample: Sample = {}
    for (const count of requestCounts) {
      await remove(redis, space)
      await take(limiter, `${padding}x`, count)
      const keys = await keysOf(redis, space)
      const bytes = await Promise.all(keys.map((key) => redis.memory('USAGE', key, 'SAMPLES', 0)))
      sample[`bytes${count}`] = bytes.reduce<number>((sum, one) => sum + (one ?? 0), 0)
    }
    return sample
  }
  async function close() {
    await limiter.close()
    await redis.quit()
  }
  return { measure, close }
}

async function take(limiter: Limiter, id: string, count: number): Promise<void> {
  for (let left = count; left > 0; left -= atOnce) {
    const units = Array.from({ length: Math.min(left, atOnce) }, () => limiter.take(id))
    if (!(await Promise.all(units)).every(Boolean)) throw new Error('denied below the limit')
  }
}

async function keysOf(redis: Redis, space: string): Promise<string[]> {
  const found = new Set<string>()
  for await (const keys of redis.scanStream({ match: `*${space}:*`, count: 1_000 })) {
    for (const key of keys) found.add(key)
  }
  return [...found]
}

async function remove(redis: Redis, space: string): Promise<void> {
  const keys = await keysOf(redis, space)
  if (keys.length > 0) await redis.unlink(keys)
}

export const memory: Table<Servers> = {
  id: 'memory',
  title: 'Rate limit: memory of Redis for one id',
  note:
    'MEMORY USAGE of all keys of an id that has made so many requests, 2,000 per day allowed. Each key has a name of 60 bytes, ' +
    'whatever the library.',
  columns: [
    { metric: 'bytes1000', label: '1,000 requests', format: 'bytes' },
    { metric: 'bytes100', label: '100', format: 'bytes' },
    { metric: 'bytes10', label: '10', format: 'bytes' },
    { metric: 'bytes1', label: '1', format: 'bytes' },
  ],
  ratios: [],
  contenders: contendersOf([...ours, raw, textbook, ...peers], weighing),
  goals: [{ text: 'gcra at most 150 bytes after 1,000 requests', metric: 'bytes1000', contender: 'gcra', atMost: 150 }],
}
