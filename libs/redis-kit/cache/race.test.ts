/** Readers and writers in every order: whatever happened, the cache ends up with the last version or with none. */
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { startChildren } from './fixtures/children.ts'
import { countStale, createRacer, type RacerKind, race, raceKeys } from './fixtures/race.ts'
import { cacheServer } from './fixtures/topology.fixture.ts'

/** Half a minute of work on a machine that has nothing else to do. */
const TIMEOUT_MS = 240_000
/** What keys and channels have to get right, in every id. */
const idOf = (round: number) => `round ${round}, {ü}`
const idsOf = (roundCount: number) => Array.from({ length: roundCount }, (_, round) => idOf(round))

describe.each([
  { topology: 'standalone', roundCount: 300 },
  { topology: 'cluster', roundCount: 150 },
  { topology: 'acl', roundCount: 150 },
] as const)('on $topology', { timeout: TIMEOUT_MS }, async ({ topology, roundCount }) => {
  const server = await cacheServer(topology)
  const redis = connectRedis(server.url, { name: 'cache-race', commandTimeoutMs: 10_000 })
  const source = connectRedis(server.adminUrl, { name: 'cache-race', commandTimeoutMs: 10_000 })
  await Promise.all([whenReady(redis, 10_000), whenReady(source, 10_000)])
  afterAll(() => Promise.all([closeRedis(redis), closeRedis(source)]))

  /** Six readers and four writers of each id, on two caches that know nothing of each other. */
  async function staleAfter(kind: RacerKind): Promise<number> {
    const namespace = server.namespace()
    await server.allow(raceKeys(namespace))
    const options = { source, namespace, kind }
    const racers = [createRacer(redis, options), createRacer(redis, options)] as const
    onTestFinished(async () => {
      for (const racer of racers) await racer.close()
    })
    const ids = idsOf(roundCount)
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

describe.each([
  { topology: 'standalone', roundCount: 2_000 },
  { topology: 'cluster', roundCount: 200 },
  { topology: 'acl', roundCount: 200 },
] as const)('between two processes on $topology', { timeout: TIMEOUT_MS }, async ({ topology, roundCount }) => {
  const server = await cacheServer(topology)

  /** Six readers and four writers of each id; how many of the ids each process is then served in an old version. */
  async function staleAfter(kind: RacerKind): Promise<number[]> {
    const namespace = server.namespace()
    await server.allow(raceKeys(namespace))
    const setup = { url: server.url, sourceUrl: server.adminUrl, namespace, hasCopies: !kind.startsWith('naive') }
    const children = await startChildren(2, setup)
    const ids = idsOf(roundCount)
    for (let start = 0; start < ids.length; start += 100) {
      const task = { task: 'race', kind, ids: ids.slice(start, start + 100), readerCount: 3, writerCount: 2 } as const
      await Promise.all(children.map((child) => child.run(task)))
    }
    return Promise.all(children.map((child) => child.run<number>({ task: 'count-stale', kind, ids })))
  }

  test(`of ${roundCount} interleavings none ends stale, neither in Redis nor in the memory of a process`, async ({
    annotate,
  }) => {
    const counts = await staleAfter('key')
    await annotate(`stale of ${roundCount}, by process: ${counts}`)
    expect(counts).toEqual([0, 0])
  })

  test('nor does one that invalidates by tag', async ({ annotate }) => {
    const counts = await staleAfter('tag')
    await annotate(`stale of ${roundCount}, by process: ${counts}`)
    expect(counts).toEqual([0, 0])
  })

  test('nor does one that writes through', async () => {
    expect(await staleAfter('put')).toEqual([0, 0])
  })

  test('GET, load, SET and DEL do end stale, so these tests are able to fail', async ({ annotate }) => {
    let counts = [0, 0]
    // A busy machine may run the readers and writers of one pass one after another.
    for (let pass = 0; pass < 5 && Math.min(...counts) === 0; pass += 1) {
      const more = await staleAfter('naive')
      counts = counts.map((count, index) => count + (more[index] ?? 0))
    }
    await annotate(`stale, by process: ${counts}`)
    expect(Math.min(...counts)).toBeGreaterThan(0)
  })
})
