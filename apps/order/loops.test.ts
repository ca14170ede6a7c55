/** What goes wrong in the background shows in /health/ready and in a metric, and no longer than it lasts. */
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { afterAll, expect, test } from 'vitest'
import { startOrder } from './order.fixture.ts'

const order = await startOrder()
const admin = connectRedis(order.redis.url, { name: 'admin' })
afterAll(async () => {
  await closeRedis(admin)
  await order.stop()
})
const readiness = async () => (await order.ask('/health/ready')).json()
const failingLoops = async () =>
  (await readiness()).checks
    .filter((check: { ok: boolean; name: string }) => !check.ok && check.name.startsWith('loop:'))
    .map((check: { name: string; error: string }) => `${check.name} ${check.error}`)
    .sort()
const patience = { timeout: 45_000, interval: 100 }

test('a service whose only consumer may not read its stream is degraded, says why, and is ready once it may', async () => {
  await expect.poll(failingLoops, patience).toEqual([])
  await admin.acl('SETUSER', 'order', '-xreadgroup')
  await expect.poll(failingLoops, patience).toContain('loop:stock-events REDIS_NOT_PERMITTED')
  expect(await readiness()).toMatchObject({ status: 'degraded' })
  expect((await order.metrics.page()).text).toMatch(/loop_failing\{loop="stock-events",.*} 1/)
  expect((await order.metrics.page()).text).toMatch(/loop_failures_total\{loop="stock-events",.*} [1-9]/)
  await admin.acl('SETUSER', 'order', '+xreadgroup')
  await expect.poll(failingLoops, patience).toEqual([])
}, 120_000)

test('loops that need Postgres fail without it, and each says when it works again', async () => {
  await order.toPostgres.refuse()
  const names = ['carts', 'deadline', 'outbox', 'payment-callbacks', 'refunds']
  await expect
    .poll(async () => (await failingLoops()).map((text: string) => text.split(/[: ]/)[1]), patience)
    .toEqual(expect.arrayContaining(names))
  await order.toPostgres.heal()
  await expect.poll(failingLoops, patience).toEqual([])
}, 120_000)
