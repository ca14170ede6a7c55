import { startRedis } from '@shop/test-kit/redis-server'
import { expect, it } from 'vitest'
import { connectPlain } from './plain-redis.ts'
import { countCommands, redisVersion } from './servers.ts'

it('counts what clients send: a script is one command, whatever it runs, and a heartbeat is none', async () => {
  const server = await startRedis()
  const redis = connectPlain(server.url)
  await redis.ping()
  const counter = await countCommands(server.url)
  expect(await counter.take()).toBe(0)

  await redis.set('a', 'b')
  await redis.eval("redis.call('GET', KEYS[1]) return redis.call('GET', KEYS[1])", 1, 'a')
  await redis.ping()
  expect(await counter.take()).toBe(2)
  expect(await counter.take()).toBe(0)
  expect(await redisVersion(server.url)).toMatch(/^\d+\.\d+\.\d+/)

  counter.close()
  redis.disconnect()
  await server.stop()
})
