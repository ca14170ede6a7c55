/** A server that answers and refuses writes: sessions are recognised, and not put off. */
import { setTimeout as sleep } from 'node:timers/promises'
import { startRedis } from '@shop/test-kit/redis-server'
import { expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { createSessionReader, createSessions, sessionKeys } from './session.ts'

const HOUR_MS = 3_600_000

const causes: Record<string, (redis: Redis) => Promise<unknown>> = {
  OOM: (redis) => redis.config('SET', 'maxmemory', '1'),
  READONLY: (redis) => redis.replicaof('127.0.0.1', 1),
  NOREPLICAS: (redis) => redis.config('SET', 'min-replicas-to-write', '1'),
}

for (const [cause, refuse] of Object.entries(causes)) {
  test(`${cause}: a session whose end is to be put off is loaded all the same, and an ended one is not`, async () => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const redis = connectRedis(server.url, { name: 'test' })
    onTestFinished(() => closeRedis(redis))
    await whenReady(redis, 5_000)
    const keys = sessionKeys('user')
    const sessions = createSessions(redis, { keys, idleMs: HOUR_MS, absoluteMs: 2 * HOUR_MS })
    const living = await sessions.create({ userId: 'ada', fields: {} })
    const ended = await sessions.create({ userId: 'bob', fields: {} })
    await sessions.revokeAll('bob')
    await redis.pexpire(keys.session.key(living.id.slice(0, 8), living.handle), HOUR_MS / 2)
    await refuse(redis)
    const reader = createSessionReader(redis, { keys })
    for (let round = 0; round < 3; round++) {
      expect((await reader.load(living.id))?.userId).toBe('ada')
      expect(await reader.load(ended.id)).toBeUndefined()
      await sleep(1)
    }
  })
}

test('rights that are missing are an error, and not a session that is never put off', async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const redis = connectRedis(server.url, { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  const keys = sessionKeys('user')
  const { id, handle } = await createSessions(redis, { keys, idleMs: HOUR_MS, absoluteMs: HOUR_MS }).create({
    userId: 'ada',
    fields: {},
  })
  await redis.pexpire(keys.session.key(id.slice(0, 8), handle), HOUR_MS / 2)
  await redis.acl('SETUSER', 'reader', 'on', '>secret', '~*', '+@all', '-pexpireat')
  const limited = connectRedis(server.url.replace('//', '//reader:secret@'), { name: 'limited' })
  onTestFinished(() => closeRedis(limited))
  await expect(createSessionReader(limited, { keys }).load(id)).rejects.toThrow(/PERM|can't run|permission/i)
})
