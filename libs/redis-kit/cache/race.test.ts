/** Readers and writers in every order: whatever happened, the cache ends up with the last version or with none. */
import { testRedis } from '@shop/test-kit/redis'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../client.ts'
import { startChildren } from './fixtures/children.ts'
import { countStale, createRacer, type RacerKind, race } from './fixtures/race.ts'

/** Some seconds of work on a machine that has nothing else to do. */
const TIMEOUT_MS = 120_000
/** What keys and channels have to get right, in every id. */
const idOf = (round: number) => `round ${round}, {ü}`

describe.each([
  { topology: 'standalone', roundCount: 300 },
  { topology: 'cluster', roundCount: 150 },
] as const)('on $topology', { timeout: TIMEOUT_MS }, async ({ topology, roundCount }) => {
  const server = await testRedis({ topology })
  const redis = connectRedis(server.url, { name: 'cache-race', commandTimeoutMs: 10_000 })
  await whenReady(redis, 10_000)
  afterAll(() => closeRedis(redis))

  /** Six readers and four writers of each id, on two caches that know nothing of each other. */
  async function staleAfter(kind: RacerKind): Promise<number> {
    const namespace = server.namespace()
    const racers = [createRacer(redis, namespace, kind), createRacer(redis, namespace, kind)] as const
    onTestFinished(async () => {
      for (const racer of racers) await racer.close()
    })
    const ids = Array.from({ length: roundCount }, (_, round) => idOf(round))
    for (let start = 0; start < ids.length; start += 50) {
      await Promise.all(ids.slice(start, start + 50).map((id) => race(racers, id, 6, 4)))
    }
    return countStale(racers[0], ids)
  }

  test(`of ${roundCount} interleavings none ends stale`, async () => {
    expect(await staleAfter('key')).toBe(0)
  })

  test('nor does one that invalidates by tag', async () => {
    expect(await staleAfter('tag')).toBe(0)
  })

  test('nor does one that writes through', async () => {
    expect(await staleAfter('put')).toBe(0)
  })

  test('GET, load, SET and DEL do end stale, so these tests are able to fail', async () => {
    expect(await staleAfter('naive')).toBeGreaterThan(0)
  })

  test('and so does a write-through that commits and then SETs', async () => {
    expect(await staleAfter('naive-put')).toBeGreaterThan(0)
  })
})

describe('between two processes', { timeout: TIMEOUT_MS }, async () => {
  const server = await testRedis()

  async function staleAfter(kind: RacerKind, roundCount: number, hasCopies: boolean): Promise<number[]> {
    const namespace = server.namespace()
    const children = await startChildren(2, { url: server.url, namespace, hasCopies })
    const ids = Array.from({ length: roundCount }, (_, round) => idOf(round))
    for (let start = 0; start < ids.length; start += 100) {
      const batch = ids.slice(start, start + 100)
      await Promise.all(
        children.map((child) => child.run({ task: 'race', kind, ids: batch, readerCount: 3, writerCount: 2 })),
      )
    }
    return Promise.all(children.map((child) => child.run<number>({ task: 'count-stale', kind, ids })))
  }

  test('of 2,000 interleavings none ends stale, neither in Redis nor in the memory of a process', async () => {
    expect(await staleAfter('key', 2_000, true)).toEqual([0, 0])
  })

  test('nor does one that invalidates by tag', async () => {
    expect(await staleAfter('tag', 300, true)).toEqual([0, 0])
  })

  test('nor does one that writes through', async () => {
    expect(await staleAfter('put', 300, true)).toEqual([0, 0])
  })

  test('GET, load, SET and DEL do end stale, so these tests are able to fail', async () => {
    expect(Math.max(...(await staleAfter('naive', 300, false)))).toBeGreaterThan(0)
  })
})
