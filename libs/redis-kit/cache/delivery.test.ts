/** Invalidations that are lost on their way, though every connection lives. */

import { testRedis } from '@shop/test-kit/redis'
import { startCluster } from '@shop/test-kit/redis-server'
import { Command, Redis as Server } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber, type Subscriber, whenReady } from '../connection/connection.ts'
import { cacheKeys, createCache, type LocalOptions } from './cache.ts'
import { createSource, type Row } from './fixtures/source.ts'

const HOUR_MS = 3_600_000
const until = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 20_000, interval: 5 })
const keys = cacheKeys('delivery', 'row')

async function open(
  url: string,
  subscriberUrl = url,
  wrap = (subscriber: Subscriber): LocalOptions['subscriber'] => subscriber,
) {
  const redis = connectRedis(url, { name: 'delivery', commandTimeoutMs: 9_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 9_000)
  const subscriber = connectSubscriber(subscriberUrl, { name: 'delivery', commandTimeoutMs: 9_000 })
  onTestFinished(() => subscriber.close())
  const common = { keys, ttlMs: HOUR_MS, deadlineMs: 8_000, beta: 0 }
  const cache = createCache<Row>(redis, { ...common, local: { subscriber: wrap(subscriber), ttlMs: HOUR_MS } })
  const writer = createCache<Row>(redis, common)
  onTestFinished(async () => void (await Promise.all([cache.close(), writer.close()])))
  return { cache, writer, source: createSource() }
}

const slotOf = (key: string) => new Command('get', [key]).getSlot() as number

test('on a Cluster the bus has no part in it: a copy goes away though the nodes do not pass messages on', {
  timeout: 60_000,
}, async () => {
  const cluster = await startCluster({ config: { 'cluster-require-full-coverage': 'no' } })
  onTestFinished(() => cluster.stop())
  const admins = cluster.nodes.map(({ port }) => new Server(port))
  onTestFinished(() => {
    for (const admin of admins) admin.disconnect()
  })
  const ids = (await Promise.all(admins.map((admin) => admin.cluster('MYID')))) as string[]
  // Slots are dealt out evenly and in order.
  const ownerOf = (key: string) => Math.floor((slotOf(key) * 3) / 16_384)
  const owner = ownerOf(keys.invalidations.key())
  const rows = Array.from({ length: 60 }, (_, n) => `id ${n}`)
  const elsewhere = rows.filter((id) => ownerOf(keys.value.key(id)) !== owner)

  // The subscriber is told of a node that is neither the channel's nor, for half of the ids, the key's.
  const seed = [0, 1, 2].find((index) => index !== owner) as number
  const { cache, writer, source } = await open(cluster.url, `redis+cluster://127.0.0.1:${cluster.nodes[seed]?.port}`)
  const sources = () => Promise.all(elsewhere.map(async (id) => (await cache.get(id, source.loader(id))).source))
  for (const id of elsewhere) source.write(id)
  await until(async () => expect(new Set(await sources())).toEqual(new Set(['hit-local'])))

  // From now on no node that has keys sends anything to the node of the seed.
  await Promise.all(
    admins.map((admin, index) => (index === seed ? undefined : admin.cluster('FORGET', ids[seed] as string))),
  )
  const reachable = elsewhere.filter((id) => ownerOf(keys.value.key(id)) !== seed)
  for (const id of reachable) source.write(id)
  await Promise.all(reachable.map((id) => writer.invalidate(id)))
  await until(async () => {
    const versions = await Promise.all(
      reachable.map(async (id) => (await cache.get(id, source.loader(id))).value?.version),
    )
    expect(new Set(versions)).toEqual(new Set([2]))
  })
})

test('copies are off while messages do not come back, and say why', { timeout: 60_000 }, async () => {
  const server = await testRedis()
  let isDeaf = false
  const { cache, writer, source } = await open(server.url, server.url, (subscriber) => ({
    ...subscriber,
    subscribe: (channel, listener) =>
      subscriber.subscribe(channel, (...message) => (isDeaf ? undefined : listener(...message))),
  }))
  const read = () => cache.get('a', source.loader('a'))
  source.write('a')
  await until(async () => expect((await read()).source).toBe('hit-local'))
  expect(cache.stats()).toMatchObject({ copies: 'on' })
  expect(writer.stats()).toMatchObject({ copies: 'none' })

  isDeaf = true
  source.write('a')
  await writer.invalidate('a')
  await until(async () => expect(await read()).toMatchObject({ value: { version: 2 }, source: 'miss' }))
  expect((await read()).source).toBe('hit')
  expect(cache.stats()).toMatchObject({ copies: 'off', copiesOffReason: 'undelivered' })

  source.write('a')
  await writer.put('a', async () => ({ id: 'a', version: 3 }))
  isDeaf = false
  await until(async () => expect((await read()).source).toBe('hit-local'))
  expect((await read()).value?.version).toBe(3)
})
