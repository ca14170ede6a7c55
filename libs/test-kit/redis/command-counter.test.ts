import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { countCommands } from './command-counter.ts'
import { startRedis } from './redis-server.ts'

async function startServer() {
  const server = await startRedis()
  const redis = new Redis(server.url)
  onTestFinished(() => server.stop())
  onTestFinished(() => redis.disconnect())
  await redis.ping()
  return { server, redis }
}

test('a script is one command, whatever it runs, and a heartbeat is none', async () => {
  const { server, redis } = await startServer()
  const counter = await countCommands(server.url)
  onTestFinished(() => counter.close())
  expect(await counter.take()).toEqual({ sentCount: 0, scriptedCount: 0 })

  await redis.set('a', 'b')
  await redis.eval("redis.call('GET', KEYS[1]) return redis.call('GET', KEYS[1])", 1, 'a')
  await redis.ping()
  expect(await counter.take()).toEqual({ sentCount: 2, scriptedCount: 2 })
  expect(await counter.take()).toEqual({ sentCount: 0, scriptedCount: 0 })
})

test('counting begins while other clients send commands', async () => {
  const { server, redis } = await startServer()
  let isOver = false
  const traffic = Promise.all(
    Array.from({ length: 20 }, async () => {
      while (!isOver) await redis.set('a', 'b')
    }),
  )
  for (let round = 0; round < 20; round++) {
    const counter = await countCommands(server.url)
    await redis.set('mine', round)
    expect((await counter.take()).sentCount).toBeGreaterThan(0)
    counter.close()
  }
  isOver = true
  await traffic
})

test('a server that is gone is an error, not a count of none', async () => {
  const { server } = await startServer()
  const counter = await countCommands(server.url)
  onTestFinished(() => counter.close())
  await server.kill('SIGKILL')
  await expect(counter.take()).rejects.toThrow()
})
