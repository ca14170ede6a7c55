import { startRedis } from '@shop/test-kit/redis-server'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLink } from './subscriber-link.ts'
import { createSubscriptions } from './subscriptions.ts'

test('a channel that is taken off while the node is asked for its role is not subscribed', async () => {
  const server = await startRedis()
  const direct = new Redis(server.url)
  const subscriptions = createSubscriptions({ commandTimeoutMs: 1000, onError: () => {} })
  const role = Promise.withResolvers<boolean>()
  const maySubscribe = vi.fn(() => role.promise)
  const link = createLink(new Redis(server.url), { kind: 'sharded', subscriptions, onError: () => {}, maySubscribe })
  onTestFinished(async () => {
    direct.disconnect()
    await link.close()
    await server.stop()
  })
  const subscribing = subscriptions.subscribe(link, 'status:{1}', () => {})
  await vi.waitFor(() => expect(maySubscribe).toHaveBeenCalled())
  const [channel] = link.channels
  await link.remove(channel as NonNullable<typeof channel>)
  role.resolve(true)
  await link.redis.ping() // sent after a subscription, if there is one
  expect(await direct.spublish('status:{1}', 'message')).toBe(0)
  await subscribing
})
