/** What happens when many processes miss the same value at once, and when the one that loads it dies. */
import { countCommands } from '@shop/test-kit/command-counter'
import { startRedis } from '@shop/test-kit/redis-server'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startChildren } from './fixtures/children.ts'
import { rowKeys } from './fixtures/source.ts'
import { cacheServer, topologies } from './fixtures/topology.fixture.ts'

const TIMEOUT_MS = 60_000
const MISSES = { task: 'stampede', id: 'a, {b}', readCount: 250, loadMs: 50 } as const

describe.each(topologies)('on %s', { timeout: TIMEOUT_MS }, async (topology) => {
  const server = await cacheServer(topology)

  async function setUp(leaseMs: number) {
    const namespace = server.namespace()
    await server.allow(rowKeys(namespace))
    return startChildren(4, { url: server.url, sourceUrl: server.adminUrl, namespace, hasCopies: false, leaseMs })
  }

  test('1,000 misses in four processes are one load', async () => {
    const children = await setUp(30_000)
    const answers = (await Promise.all(children.map((child) => child.run<string[]>(MISSES)))).flat()
    expect(answers).toHaveLength(1_000)
    expect(new Set(answers.map((answer) => answer.split(' ')[1]))).toEqual(new Set(['1']))
    expect(new Set(answers.map((answer) => answer.split(' ')[2]))).toEqual(new Set(['miss', 'hit']))
  })

  test('a process that dies while it loads costs one more load, and no reader an error', async () => {
    const leaseMs = 1_500
    const [holder, ...others] = await setUp(leaseMs)
    if (!holder) throw new Error('no children')
    const task = { task: 'stampede', id: 'a', readCount: 50 } as const
    holder.run({ ...task, loadMs: 'for ever' }).catch(() => {}) // it will be killed
    await holder.loading()
    const readings = others.map((child) => child.run<string[]>({ ...task, loadMs: 0 }))
    await holder.kill()
    const answers = (await Promise.all(readings)).flat()
    expect(answers).toHaveLength(150)
    // A read that had to wait for more than two leases would have gone around the cache, as 'bypass'.
    expect(new Set(answers)).toEqual(new Set(['load 2 miss', 'load 2 hit']))
  })
})

test('1,000 misses in four processes are at most 60 commands to Redis', { timeout: TIMEOUT_MS }, async ({
  annotate,
}) => {
  const [server, sourceServer] = await Promise.all([startRedis(), startRedis()])
  onTestFinished(() => server.stop())
  onTestFinished(() => sourceServer.stop())
  const setup = { url: server.url, sourceUrl: sourceServer.url, namespace: 'shop', hasCopies: false, leaseMs: 30_000 }
  const children = await startChildren(4, setup)
  const counter = await countCommands(server.url)
  onTestFinished(() => counter.close())
  await Promise.all(children.map((child) => child.run(MISSES)))
  const { sentCount, scriptedCount } = await counter.take()
  await annotate(`${sentCount} commands, and ${scriptedCount} that scripts ran`)
  expect(sentCount).toBeGreaterThan(4)
  expect(sentCount).toBeLessThanOrEqual(60)
})
