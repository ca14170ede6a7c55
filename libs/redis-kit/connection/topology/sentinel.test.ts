/** One Sentinel, a master and a replica: after a failover commands and subscriptions are with the new master. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startSentinel } from '@shop/test-kit/redis-sentinel'
import { type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { Redis as Server } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { OutcomeUnknown, RedisUnavailable } from '../../errors.ts'
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '../connection.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(): Promise<RedisServer> {
  const server = await startRedis({ config: { 'repl-diskless-sync-delay': '0' } })
  cleanups.push(() => server.stop())
  return server
}
function talkTo(port: number): Server {
  const direct = new Server(port)
  direct.on('error', () => {})
  cleanups.push(() => direct.disconnect())
  return direct
}

test('a failover is followed, by commands and by subscribers', { timeout: 200_000 }, async () => {
  const [master, replica] = await Promise.all([start(), start()])
  const follower = talkTo(replica.port)
  await follower.replicaof('127.0.0.1', master.port)
  await until(async () => (await follower.info('replication')).includes('master_link_status:up'))
  const { port, stop } = await startSentinel({ masterPort: master.port })
  cleanups.push(stop)
  const sentinel = talkTo(port)
  const replicas = () => sentinel.call('SENTINEL', 'REPLICAS', 'main').catch(() => []) as Promise<unknown[]>
  await until(async () => (await replicas()).length === 1)

  const url = `redis+sentinel://127.0.0.1:${port}/main`
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 300 })
  cleanups.push(() => closeRedis(redis))
  await whenReady(redis, 5000)
  expect(await redis.incr('counter')).toBe(1)

  const subscriber = connectSubscriber(url, { name: 'test', commandTimeoutMs: 5000 })
  cleanups.push(() => subscriber.close())
  const messages: string[] = []
  const gaps: string[] = []
  subscriber.onGap(({ reason }) => gaps.push(reason))
  await subscriber.subscribe('channel', (message) => messages.push(message))

  await master.kill('SIGKILL')
  await until(async () => {
    const startedMs = performance.now()
    const outcome = await redis.get('counter').catch((error) => error)
    expect(performance.now() - startedMs).toBeLessThan(800)
    if (outcome instanceof Error) expect([RedisUnavailable, OutcomeUnknown]).toContain(outcome.constructor)
    return (await follower.info('replication')).includes('role:master')
  })
  const promotedMs = performance.now()
  await until(async () => (await redis.incr('counter').catch(() => 0)) > 1)
  await until(async () => {
    await follower.publish('channel', 'hello')
    return messages.length > 0
  })
  expect(performance.now() - promotedMs).toBeLessThan(5000)
  expect(Number(await follower.get('counter'))).toBeGreaterThan(1)
  expect(gaps[0]).toBe('the connection was lost')
  expect(gaps.at(-1)).toBe('subscribed again')
})

test('without any Sentinel, commands fail in time', async () => {
  const nowhere = await startFaultProxy({ port: 1 })
  await nowhere.stop()
  const redis = connectRedis(`redis+sentinel://127.0.0.1:${nowhere.port}/main`, { name: 'test', commandTimeoutMs: 300 })
  cleanups.push(() => closeRedis(redis))
  for (let i = 0; i < 3; i++) {
    const startedMs = performance.now()
    const outcome = await redis.get('key').catch((error) => error)
    expect(outcome).toBeInstanceOf(RedisUnavailable)
    expect(String(outcome.cause)).toContain('sentinels are unreachable')
    expect(performance.now() - startedMs).toBeLessThan(800)
  }
})

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  // Sentinel does nothing for 30 s (TILT) after a pause of its own, which a busy machine may cause.
  const deadlineMs = performance.now() + 60_000
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 60 s: ${condition}`)
    await sleep(20)
  }
}
