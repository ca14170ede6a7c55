/** What a server says of its eviction, on real ones. */
import { randomBytes } from 'node:crypto'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Redis as Server } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, whenReady } from '../connection.ts'
import { checkEvictionPolicy } from './eviction-policy.ts'

async function start(policy: string) {
  const server = await startRedis({ config: { 'maxmemory-policy': policy } })
  onTestFinished(() => server.stop())
  return server
}
async function connect(url: string) {
  const redis = connectRedis(url, { name: 'eviction', commandTimeoutMs: 5_000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}
function talkTo(port: number): Server {
  const direct = new Server(port)
  onTestFinished(() => direct.disconnect())
  return direct
}

test.each([
  ['noeviction', 'wrong', 'ok'],
  ['allkeys-lru', 'ok', 'wrong'],
  ['allkeys-lfu', 'ok', 'wrong'],
  ['allkeys-random', 'ok', 'wrong'],
  ['volatile-lru', 'ok', 'wrong'],
  ['volatile-lfu', 'ok', 'wrong'],
  ['volatile-random', 'ok', 'wrong'],
  ['volatile-ttl', 'ok', 'wrong'],
] as const)('%s is %s for a cache and %s for state', async (policy, forCache, forState) => {
  const redis = await connect((await start(policy)).url)
  expect(await checkEvictionPolicy(redis, 'cache')).toMatchObject({ status: forCache, policy })
  expect(await checkEvictionPolicy(redis, 'state')).toMatchObject({ status: forState, policy })
})

test('what is wrong says what is wanted', async () => {
  const cache = await connect((await start('noeviction')).url)
  expect(await checkEvictionPolicy(cache, 'cache')).toEqual({
    status: 'wrong',
    policy: 'noeviction',
    wanted: 'one that evicts, best allkeys-lfu',
  })
  const state = await connect((await start('allkeys-lfu')).url)
  expect(await checkEvictionPolicy(state, 'state')).toEqual({
    status: 'wrong',
    policy: 'allkeys-lfu',
    wanted: 'noeviction',
  })
})

test('a user who may not ask does not know', async () => {
  const { port } = await start('noeviction')
  const password = randomBytes(8).toString('hex')
  await talkTo(port).acl('SETUSER', 'service', 'on', `>${password}`, '~*', '+@all', '-@dangerous')
  const redis = await connect(`redis://service:${password}@127.0.0.1:${port}`)
  await expect(redis.info()).rejects.toThrow('NOPERM')
  expect(await checkEvictionPolicy(redis, 'cache')).toEqual({ status: 'unknown' })
})

test('a server that does not answer is not known, and nobody waits for it', async () => {
  const { port } = await start('noeviction')
  const proxy = await startFaultProxy({ port })
  onTestFinished(() => proxy.stop())
  const redis = await connect(proxy.url)
  proxy.blackHole()
  expect(await checkEvictionPolicy(redis, 'state')).toEqual({ status: 'unknown' })
  await proxy.heal()
})

test('on a Cluster one node that is wrong is enough', async () => {
  const cluster = await startCluster({ config: { 'maxmemory-policy': 'allkeys-lfu' } })
  onTestFinished(() => cluster.stop())
  const redis = await connect(cluster.url)
  expect(await checkEvictionPolicy(redis, 'cache')).toEqual({ status: 'ok', policy: 'allkeys-lfu' })
  await talkTo(cluster.nodes[2]?.port as number).config('SET', 'maxmemory-policy', 'noeviction')
  expect(await checkEvictionPolicy(redis, 'cache')).toMatchObject({ status: 'wrong', policy: 'noeviction' })
})
