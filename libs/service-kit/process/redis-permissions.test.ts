import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { RedisNotPermitted } from '@shop/redis-kit/errors'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startRedisWithUsers } from '../storage/redis-users.fixture.ts'
import { createHealth } from './health.ts'
import { adviceFor, watchPermissions } from './redis-permissions.ts'

async function watched({ shownMs }: { shownMs?: number } = {}) {
  const server = await startRedisWithUsers('state')
  const redis = connectRedis(server.urlAs('order'), { name: 'test' })
  const error = vi.fn()
  const sentences: string[] = []
  const onRefusal = (sentence: string) => void sentences.push(sentence)
  const { probe, stop } = watchPermissions({ service: 'order', log: { error }, onRefusal, shownMs })
  const health = createHealth([probe], { cacheMs: 0 })
  onTestFinished(async () => {
    stop()
    await closeRedis(redis)
    await server.stop()
  })
  return { redis, health, error, sentences }
}

test('an undeclared key is an error that names service, command, key and the file to edit, once per kind', async () => {
  const { redis, error, sentences } = await watched()
  for (const id of ['1', '2']) await redis.hset(`order:basket:${id}`, 'f', 'v').catch(() => undefined)
  expect(error.mock.calls).toEqual([
    [
      {
        user: 'order',
        missing: 'key',
        command: 'hset',
        script: undefined,
        keys: ['order:basket:1'],
        advice: expect.stringContaining('declare the family of this key in apps/order/keys.ts'),
      },
      'NOPERM the Redis user order may not use the key order:basket:1 with HSET',
    ],
  ])
  expect(sentences).toEqual([
    'NOPERM the Redis user order may not use the key order:basket:1 with HSET: ' +
      'declare the family of this key in apps/order/keys.ts, then restart the Redis servers or run ACL LOAD',
  ])
  await redis.sadd('order:basket:1', 'v').catch(() => undefined)
  expect(error).toHaveBeenCalledTimes(2)
  expect(error.mock.lastCall?.[0]).toMatchObject({
    command: 'sadd',
    advice: expect.stringMatching(/a key family of the type of this command in apps\/order\/keys\.ts/),
  })
})

test('health is degraded with a code after a refusal, and ready again when there are no more', async () => {
  const { redis, health } = await watched({ shownMs: 300 })
  expect((await health.ready()).status).toBe('ready')
  await redis.get('order:nowhere').catch(() => undefined)
  const readiness = await health.ready()
  expect(readiness.status).toBe('degraded')
  expect(readiness.checks).toMatchObject([{ name: 'redis-permissions', ok: false, error: 'REDIS_NOT_PERMITTED' }])
  await expect.poll(async () => (await health.ready()).status).toBe('ready')
})

test('a command that is withheld from every service is told with its reason', () => {
  const refusal = new RedisNotPermitted({
    user: 'order',
    missing: 'command',
    command: 'keys',
    keys: [],
  })
  expect(adviceFor(refusal, 'order')).toBe(
    'no service may use keys, which names the keys or channels of every service; see libs/redis-kit/acl/commands.ts',
  )
})
