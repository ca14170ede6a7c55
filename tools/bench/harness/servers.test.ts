import { startRedis } from '@shop/test-kit/redis-server'
import { expect, test } from 'vitest'
import { redisVersion } from './servers.ts'

test('the version of a server is what the server says', async () => {
  const server = await startRedis()
  expect(await redisVersion(server.url)).toMatch(/^\d+\.\d+\.\d+/)
  await server.stop()
})
