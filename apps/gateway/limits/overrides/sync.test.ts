/** How an instance hears of a change: by the hint, by a gap of the subscription, or by reading now and then. */
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '@shop/redis-kit/connection'
import { type Channel, createChannel } from '@shop/redis-kit/pubsub'
import { startLoops } from '@shop/service-kit/process/loop'
import { createLog } from '@shop/service-kit/telemetry/log'
import { startRedis } from '@shop/test-kit/redis-server'
import { command } from '@shop/test-kit/redis-wire'
import { afterAll, beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { policyText } from '../policies.fixture.ts'
import { parsePolicies } from '../policy-file/policy-file.ts'
import { createPolicyStore } from '../policy-store.ts'
import { createOverrides, overrideKeys } from './overrides.ts'
import { type ChangeHint, createOverrideSync } from './sync.ts'

const { source } = parsePolicies(policyText({}))
if (source === undefined) throw new Error('the file of the shop is not sound')
const log = createLog({ service: 'gateway', instanceId: 'sync-test', level: 'silent' })
const server = await startRedis()
const redis = connectRedis(server.url, { name: 'sync-test' })
await whenReady(redis, 5_000)
const overrides = createOverrides(redis)
afterAll(async () => {
  await closeRedis(redis)
  await server.stop()
})
beforeEach(() => redis.del(overrideKeys.overrides.key()))

const never = 600_000

/** An instance with its own connections. */
async function startInstance({ readEveryMs = never, url = server.url } = {}) {
  const own = connectRedis(url, { name: 'instance', commandTimeoutMs: 300 })
  const subscriber = connectSubscriber(url, { name: 'instance-subscriber' })
  const store = createPolicyStore({
    source: source as NonNullable<typeof source>,
    read: async () => source as never,
    log,
  })
  const hints = createChannel<ChangeHint>(own, subscriber, { keys: overrideKeys.hints })
  const sync = createOverrideSync({
    overrides: createOverrides(own),
    hints,
    store,
    instanceId: 'instance',
    log,
    readEveryMs,
  })
  await sync.start()
  const loops = startLoops([sync.loop], log)
  onTestFinished(async () => {
    await loops.stop()
    await Promise.all([subscriber.close(), closeRedis(own)])
  })
  return { sync, count: () => countIn(store.current().rules) }
}

function countIn(rules: NonNullable<typeof source>['rules']): number | undefined {
  const address = rules.flatMap(({ policies }) => policies).find(({ name }) => name === 'address')
  return address && 'count' in address.limit ? address.limit.count : undefined
}

/** Stored, and not announced. */
async function store(count: number) {
  const to = { limit: { count, periodMs: 1_000 } }
  const [current] = await overrides.list()
  const revision = current?.revision ?? 'file'
  return overrides.change({ policy: 'address', revision, by: 'admin', action: 'override', to })
}
const reported = () => vi.waitFor(async () => expect(await overrides.reports()).toHaveLength(1), { timeout: 10_000 })

it('starts with the overrides that are stored', async () => {
  await store(150)
  expect((await startInstance()).count()).toBe(150)
})

it('hears of a change by the hint', async () => {
  const [a, b] = [await startInstance(), await startInstance()]
  await reported()
  await store(120)
  await a.sync.announce('1-0')
  await vi.waitFor(() => expect([a.count(), b.count()]).toEqual([120, 120]), { timeout: 10_000 })
})

it('reads again after a gap of the subscription, in which a hint may have been lost', async () => {
  const instance = await startInstance()
  await reported()
  await store(130)
  expect(instance.count()).toBe(200)
  await command(server, 'CLIENT', 'KILL', 'TYPE', 'PUBSUB')
  await vi.waitFor(() => expect(instance.count()).toBe(130), { timeout: 10_000 })
})

it('reads now and then without a hint', async () => {
  const instance = await startInstance({ readEveryMs: 50 })
  await store(140)
  await vi.waitFor(() => expect(instance.count()).toBe(140), { timeout: 10_000 })
})

it('shares the next read among all who ask during one, and each finds what was stored before it asked', async () => {
  const found = createPolicyStore({
    source: source as NonNullable<typeof source>,
    read: async () => source as never,
    log,
  })
  const answers: (() => void)[] = []
  const list = async () => {
    const stored = await overrides.list()
    await new Promise<void>((resolve) => answers.push(resolve))
    return stored
  }
  const hints = {} as Channel<ChangeHint>
  const sync = createOverrideSync({ overrides: { ...overrides, list }, hints, store: found, instanceId: 'shared', log })
  const first = sync.refresh()
  await vi.waitFor(() => expect(answers).toHaveLength(1), { timeout: 10_000 })
  await store(180)
  const waiting = Array.from({ length: 10 }, () => sync.refresh())
  answers[0]?.()
  await first
  await vi.waitFor(() => expect(answers).toHaveLength(2), { timeout: 10_000 })
  answers[1]?.()
  await Promise.all(waiting)
  expect([answers.length, countIn(found.current().rules)]).toEqual([2, 180])
})

it('reads again after a read that failed', async () => {
  const found = createPolicyStore({
    source: source as NonNullable<typeof source>,
    read: async () => source as never,
    log,
  })
  const list = vi.fn(overrides.list).mockRejectedValueOnce(new Error('Redis is away'))
  const hints = {} as Channel<ChangeHint>
  const sync = createOverrideSync({ overrides: { ...overrides, list }, hints, store: found, instanceId: 'failed', log })
  await store(190)
  const [first, second] = [sync.refresh(), sync.refresh()]
  await expect(Promise.all([first, second])).rejects.toThrow('Redis is away')
  await sync.refresh()
  expect(countIn(found.current().rules)).toBe(190)
})

it('starts with the file while Redis is away, and reads the overrides when it is back', async () => {
  const away = await startRedis({ config: { appendonly: 'yes', appendfsync: 'always' } })
  onTestFinished(away.stop)
  const admin = connectRedis(away.url, { name: 'sync-test-admin' })
  onTestFinished(() => closeRedis(admin))
  await whenReady(admin, 5_000)
  const to = { limit: { count: 160, periodMs: 1_000 } }
  const change = { policy: 'address', revision: 'file', by: 'admin', action: 'override', to } as const
  await createOverrides(admin).change(change)
  await away.kill('SIGKILL')
  const instance = await startInstance({ url: away.url })
  expect(instance.count()).toBe(200)
  await away.restart()
  await vi.waitFor(() => expect(instance.count()).toBe(160), { timeout: 20_000 })
})

it('keeps what was in force while Redis is away', async () => {
  const instance = await startInstance({ readEveryMs: 50 })
  await store(170)
  await vi.waitFor(() => expect(instance.count()).toBe(170), { timeout: 10_000 })
  await server.kill('SIGKILL')
  await expect(instance.sync.refresh()).rejects.toThrow()
  expect(instance.count()).toBe(170)
  await server.restart()
  await whenReady(redis, 10_000)
  // Without persistence the server has lost the override: the file holds again.
  await vi.waitFor(() => expect(instance.count()).toBe(200), { timeout: 20_000 })
})
