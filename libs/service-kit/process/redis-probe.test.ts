/** Readiness on a Cluster of three masters without replicas, one of which is frozen. */
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { keyFamily } from '@shop/redis-kit/keys'
import { startCluster } from '@shop/test-kit/redis-server'
import { expect, onTestFinished, test } from 'vitest'
import { createHealth, redisProbe } from './health.ts'

const family = keyFamily({
  service: 'user',
  pattern: 'user:session:{<tag>}:<handle>',
  type: 'hash',
  role: 'state',
  ttl: { ms: 1000 },
  example: ['tag', 'handle'],
  doc: 'a key of this test',
})
const patience = { timeout: 30_000, interval: 50 }

async function setUp(nodeTimeoutMs: number) {
  const cluster = await startCluster({ nodeTimeoutMs })
  const redis = connectRedis(cluster.url, { name: 'test', commandTimeoutMs: 1000 })
  onTestFinished(async () => {
    await closeRedis(redis)
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGCONT')))
    await cluster.stop()
  })
  await whenReady(redis, 10_000)
  const health = createHealth([redisProbe('redis-state', redis, { required: true, family })], { cacheMs: 0 })
  await expect.poll(() => health.ready(), patience).toMatchObject({ status: 'ready' })
  return { cluster, health }
}

test('a service is degraded while one of three masters is frozen, each time it is asked, and ready after that', {
  timeout: 90_000,
}, async () => {
  const { cluster, health } = await setUp(120_000)
  await cluster.nodes[1]?.kill('SIGSTOP')
  for (let look = 0; look < 12; look++) {
    const { status, checks } = await health.ready()
    expect({ look, status, share: checks[0]?.share }).toEqual({ look, status: 'degraded', share: '2/3' })
  }
  await cluster.nodes[1]?.kill('SIGCONT')
  await expect.poll(() => health.ready(), patience).toMatchObject({ status: 'ready' })
})

test('a service is unready while the Cluster refuses all keys, though its nodes answer a PING', {
  timeout: 90_000,
}, async () => {
  const { cluster, health } = await setUp(1500)
  await cluster.nodes[1]?.kill('SIGSTOP')
  await expect.poll(() => health.ready(), patience).toMatchObject({ status: 'unready' })
  await cluster.nodes[1]?.kill('SIGCONT')
  await expect.poll(() => health.ready(), patience).toMatchObject({ status: 'ready' })
})

test('a service is unready while no master answers', { timeout: 90_000 }, async () => {
  const { cluster, health } = await setUp(120_000)
  await Promise.all(cluster.nodes.map((node) => node.kill('SIGSTOP')))
  await expect.poll(() => health.ready(), patience).toMatchObject({ status: 'unready' })
})
