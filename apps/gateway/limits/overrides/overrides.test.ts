/** The overrides on a Cluster: one slot for all keys, and hints that stay on their shard. */
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '@shop/redis-kit/connection'
import { createChannel } from '@shop/redis-kit/pubsub'
import { startCluster } from '@shop/test-kit/redis-server'
import { afterAll, expect, it, vi } from 'vitest'
import { createOverrides, overrideKeys } from './overrides.ts'
import type { ChangeHint } from './sync.ts'

const cluster = await startCluster()
const redis = connectRedis(cluster.url, { name: 'overrides-test' })
const subscriber = connectSubscriber(cluster.url, { name: 'overrides-test-subscriber' })
await whenReady(redis, 10_000)
afterAll(async () => {
  await Promise.all([subscriber.close(), closeRedis(redis)])
  await cluster.stop()
})

it('are changed, listed, reported and announced on a Cluster', async () => {
  const overrides = createOverrides(redis)
  const hints = createChannel<ChangeHint>(redis, subscriber, { keys: overrideKeys.hints })
  const heard: string[] = []
  await hints.subscribe('all', ({ revision }) => heard.push(revision))
  const values = { limit: { count: 5, periodMs: 1_000 } }
  const change = { policy: 'address', by: 'admin', action: 'override', to: values } as const
  const { status, revision } = await overrides.change({ ...change, revision: 'file' })
  expect(status).toBe('changed')
  expect(await overrides.change({ ...change, revision: 'file' })).toEqual({ status: 'conflict', revision })
  await hints.publish('all', { revision })
  await overrides.report('gateway-1', 'v1')
  expect(await overrides.list()).toMatchObject([{ policy: 'address', revision, values, by: 'admin' }])
  expect(await overrides.reports()).toMatchObject([{ id: 'gateway-1', version: 'v1' }])
  expect(await overrides.history()).toMatchObject([{ id: revision, policy: 'address', to: values }])
  await vi.waitFor(() => expect(heard).toEqual([revision]), { timeout: 10_000 })
})
