/** The projection on a Cluster, where the keys and the mark are on different nodes. */
import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { createPrismaAdapter } from '@shop/service-kit/storage/database'
import { createLog } from '@shop/service-kit/telemetry/log'
import { testDatabase } from '@shop/test-kit/postgres'
import { startCluster } from '@shop/test-kit/redis-server'
import { expect, onTestFinished, test, vi } from 'vitest'
import { keys } from '../keys.ts'
import { PrismaClient } from '../prisma/client/client.ts'
import { createProjection } from './projection.ts'
import { createApiKeyStore } from './store.ts'

vi.setConfig({ testTimeout: 60_000 })

test('keys arrive on all nodes, and are written again where they were lost', async () => {
  const [cluster, database] = await Promise.all([startCluster(), testDatabase('user')])
  onTestFinished(() => cluster.stop())
  const redis = connectRedis(cluster.url, { name: 'test', commandTimeoutMs: 2_000 })
  await whenReady(redis, 10_000)
  const prisma = new PrismaClient({ adapter: createPrismaAdapter(database.url, { name: 'test' }) })
  const store = createApiKeyStore(prisma, { maxLiveCount: 100 })
  const log = createLog({ service: 'user', instanceId: 'test', level: 'silent' })
  const projection = createProjection(redis, { store, log })
  const stopping = new AbortController()
  const running = projection.run(stopping.signal)
  onTestFinished(async () => {
    stopping.abort()
    await running
    await Promise.all([closeRedis(redis), prisma.$disconnect()])
  })

  const ids = Array.from({ length: 30 }, (_, index) => `cluster${index.toString(36)}`.slice(-8).padStart(8, '0'))
  const key = { name: 'x', digest: 'd', scopes: ['products:read' as const], quota: { perMinute: 1, perDay: 1 } }
  for (const id of ids) await store.add({ ...key, id, createdBy: randomUUID() })
  const names = ids.map((id) => keys.apiKeys.key.key(id))
  const foundCount = async () => (await Promise.all(names.map((name) => redis.exists(name)))).filter(Boolean).length
  const complete = () => redis.hexists(keys.apiKeys.projection.key(), 'complete')
  await vi.waitFor(async () => expect([await foundCount(), await complete()]).toEqual([30, 1]), { timeout: 30_000 })

  await Promise.all([...names, keys.apiKeys.projection.key()].map((name) => redis.del(name)))
  await vi.waitFor(async () => expect([await foundCount(), await complete()]).toEqual([30, 1]), { timeout: 30_000 })
  const first = ids[0] as string
  await store.revoke(first)
  expect(await projection.arrived(first)).toBe(true)
  expect(await redis.hgetall(keys.apiKeys.key.key(first))).toEqual({ version: '2' })
})
