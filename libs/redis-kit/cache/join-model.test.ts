/**
 * Reads, writes and faults of the line to Redis in random order, against a model that is one number: the newest version whose
 * invalidation had resolved when a read began. `SEED=<number>` repeats a run's choices.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { createRandom, integerOf, oneOf, type Random } from '@shop/test-kit/random'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { type Cache, type CacheEvent, type CacheOptions, cacheKeys, createCache } from './cache.ts'

interface Row {
  version: number
}
type Read = (load: () => Promise<Row>) => Promise<{ value: Row | undefined }>
/** How the reads of one id are made. */
type ReadsOf = (id: string, options: CacheOptions<Row>, redis: Redis) => Read

/** Stays closed: an open one would turn most of the reads into plain loads. */
const breaker: CacheOptions<Row>['breaker'] = { run: (ask) => ask(new AbortController().signal), state: () => 'closed' }
const HOUR_MS = 3_600_000
const ROUND_COUNT = 400
const server = await testRedis()
const tagsOf = (id: string) => [`tag of ${id}`]

test('a read never gets less than what had been invalidated when it began', { timeout: 120_000 }, async ({
  annotate,
}) => {
  const seed = seedOf()
  let cache: Cache<Row> | undefined
  const { olderCount, counts } = await run(seed, (id, options, redis) => {
    cache ??= open(redis, options)
    return (load) => (cache as Cache<Row>).get(id, load, { tags: tagsOf(id) })
  })
  await annotate(`seed ${seed}: ${JSON.stringify(counts)}`)
  expect({ seed, olderCount }).toEqual({ seed, olderCount: 0 })
  // All ways that a read can go were gone.
  for (const source of ['hit', 'miss', 'bypass', 'void', 'redis-error'] as const)
    expect(counts[source]).toBeGreaterThan(0)
})

test('with a rule that trusts every load under way that was not refused, some do (control)', {
  timeout: 120_000,
}, async ({ annotate }) => {
  const seed = seedOf()
  const { olderCount } = await run(seed, (id, options, redis) => {
    let isVoid = false
    let running: Promise<{ value: Row | undefined }> | undefined
    const cache = open(redis, {
      ...options,
      onEvent(event) {
        options.onEvent?.(event)
        if (event === 'void') isVoid = true
      },
    })
    const get: Read = async (load) => {
      if (running) {
        const result = await running
        return isVoid ? get(load) : result
      }
      isVoid = false
      running = cache.get(id, load, { tags: tagsOf(id) }).finally(() => {
        running = undefined
      })
      return running
    }
    return get
  })
  await annotate(`seed ${seed}: ${olderCount} reads got an older value`)
  expect(olderCount).toBeGreaterThan(0)
})

function seedOf(): number {
  return Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32))
}

function open(redis: Redis, options: CacheOptions<Row>): Cache<Row> {
  const cache = createCache<Row>(redis, options)
  onTestFinished(() => cache.close())
  return cache
}

async function connect(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'join-model', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}

async function run(seed: number, readsOf: ReadsOf) {
  const random = createRandom(seed)
  const proxy = await startFaultProxy({ port: Number(new URL(server.url).port) })
  onTestFinished(() => proxy.stop())
  const [near, far] = await Promise.all([connect(server.url), connect(proxy.via(server.url))])
  onTestFinished(() => proxy.heal())
  const common = { keys: cacheKeys(server.namespace(), 'row'), ttlMs: HOUR_MS, maxLoadCount: 1_000, waitMs: 300 }
  const writer = open(near, { ...common, deadlineMs: 9_000 })
  const counts = {} as Record<CacheEvent, number>
  let olderCount = 0

  async function round(id: string) {
    const onEvent = (event: CacheEvent) => {
      counts[event] = (counts[event] ?? 0) + 1
    }
    const get = readsOf(id, { ...common, deadlineMs: 100, breaker, onEvent }, far)
    let committed = 0
    let invalidated = 0

    async function load() {
      await wander(random, 10)
      const row = { version: committed }
      await wander(random, 10)
      return row
    }
    async function read() {
      await wander(random, 100)
      const atLeast = invalidated
      const { value } = await get(load)
      if (value === undefined || value.version < atLeast) olderCount++
    }
    async function commit() {
      await wander(random, 6)
      return { version: ++committed }
    }
    async function write() {
      await wander(random, 100)
      const verb = oneOf(random, ['put', 'invalidate', 'invalidateTag'] as const)
      const written = verb === 'put' ? (await writer.put(id, commit, { tags: tagsOf(id) })).value : await commit()
      if (verb === 'invalidate') await writer.invalidate(id)
      if (verb === 'invalidateTag') await writer.invalidateTag(`tag of ${id}`)
      invalidated = Math.max(invalidated, written?.version ?? 0)
    }
    await Promise.all([...Array.from({ length: 12 }, read), ...Array.from({ length: 3 }, write)])
  }

  const stop = disturb(random, proxy, counts)
  for (let n = 0; n < ROUND_COUNT; n += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, index) => round(`id ${n + index}`)))
  }
  await stop()
  return { olderCount, counts }
}

/** Holds answers back, now and then until a deadline passes, and loses a connection or one answer. The result ends that. */
function disturb(
  random: Random,
  proxy: Awaited<ReturnType<typeof startFaultProxy>>,
  counts: Readonly<Record<CacheEvent, number>>,
): () => Promise<void> {
  let isOver = false
  const errorCount = () => counts['redis-error'] ?? 0
  async function go() {
    while (!isOver) {
      await wander(random, 300)
      const chance = random()
      if (chance < 0.02) proxy.cut()
      else if (chance < 0.04) void proxy.cutAfterNextRequest()
      else {
        const release = proxy.hold()
        const before = errorCount()
        await wander(random, 30)
        if (chance < 0.1) while (errorCount() === before && !isOver) await turn()
        release()
      }
    }
  }
  const done = go()
  return async () => {
    isOver = true
    await done
  }
}

/** Some turns of the event loop: an answer of Redis may come in between, or not. */
async function wander(random: Random, most: number): Promise<void> {
  for (let turns = integerOf(random, 0, most); turns > 0; turns--) await turn()
}
