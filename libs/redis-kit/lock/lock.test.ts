import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { testRedis } from '@shop/test-kit/redis'
import { startRedis } from '@shop/test-kit/redis-server'
import { Redis as Server } from 'ioredis'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import { RedisUnavailable } from '../errors.ts'
import type { HolderSetup, Order } from './holder.fixture.ts'
import { type AcquireOptions, createLock, type Held, type Lock, LockLost, type LockOptions, lockKeys } from './lock.ts'

async function connect(url: string): Promise<Redis> {
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 3000 })
  onTestFinished(() => closeRedis(redis))
  await whenReady(redis, 10_000)
  return redis
}
async function take(lock: Lock, options?: AcquireOptions): Promise<Held> {
  const held = await lock.acquire('r', options)
  if (held.status === 'taken') throw new Error('it is taken')
  return held
}

describe.each(['standalone', 'cluster'] as const)('%s', async (topology) => {
  const server = await testRedis({ topology })

  async function open(options: Partial<LockOptions> = {}) {
    const redis = await connect(server.url)
    const keys = options.keys ?? lockKeys(server.namespace(), 'test')
    const [lockKey, fenceKey] = [keys.lock.key('r'), keys.fence.key('r')]
    return { redis, keys, lockKey, fenceKey, lock: createLock(redis, { ...options, keys }) }
  }

  test('one holds it, the others are told for how long at most; other resources are free', async () => {
    const { lock } = await open({ ttlMs: 10_000 })
    const held = await take(lock)
    const taken = await lock.acquire('r')
    expect(taken).toEqual({ status: 'taken', retryAfterMs: expect.any(Number) })
    expect(taken.status === 'taken' && taken.retryAfterMs).toBeLessThanOrEqual(10_000)
    expect(await lock.acquire('other')).toMatchObject({ status: 'acquired' })
    expect(await held.release()).toBe(true)
    expect(await held.release()).toBe(true) // the same release
    await take(lock)
  })

  test('each fence is greater than the one before: after a loss of the key, and with a clock that has gone back', async () => {
    const { lock, redis, fenceKey } = await open()
    const fences: number[] = []
    async function next() {
      const held = await take(lock)
      fences.push(held.fence)
      await held.release()
    }
    for (let i = 0; i < 20; i++) await next()
    await redis.del(fenceKey)
    for (let i = 0; i < 3; i++) await next()
    const future = (Date.now() + 3_600_000) * 1000 // given out by a server whose clock was an hour ahead
    await redis.set(fenceKey, String(future), 'PX', 60_000)
    for (let i = 0; i < 3; i++) await next()
    expect(fences.slice(-3)).toEqual([future + 1, future + 2, future + 3])
    expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b))
    expect(fences.every(Number.isSafeInteger)).toBe(true)
    expect(await redis.get(fenceKey)).toMatch(/^\d{16}$/)
  })

  test('whoever does not hold it any more changes nothing by releasing it', async () => {
    const { lock, keys, redis } = await open()
    const short = createLock(redis, { keys, ttlMs: 1_000, maxHoldMs: 500 }) // not prolonged
    const first = await take(short)
    const second = await take(lock, { waitMs: 10_000 })
    expect(second.fence).toBeGreaterThan(first.fence)
    expect(() => first.assertValid()).toThrow(LockLost)
    expect(await first.release()).toBe(false)
    second.assertValid()
    expect(await lock.acquire('r')).toMatchObject({ status: 'taken' })
    expect(await second.release()).toBe(true)
  })

  test('without a token that release sets the lock of another free', async () => {
    const { redis, lockKey } = await open()
    const naive = {
      acquire: async () => (await redis.set(lockKey, 'locked', 'PX', 60_000, 'NX')) === 'OK',
      release: () => redis.del(lockKey),
    }
    expect(await naive.acquire()).toBe(true)
    await redis.del(lockKey) // the first one's time is over
    expect(await naive.acquire()).toBe(true) // by a second
    await naive.release() // by the first, who does not know
    expect(await naive.acquire()).toBe(true) // by a third, while the second works
  })

  test('a holder that lives keeps it for longer than its time', async () => {
    const { lock, redis, lockKey } = await open({ ttlMs: 2_400 })
    const held = await take(lock)
    const endMs = performance.now() + 5_000
    while (performance.now() < endMs) {
      expect(await lock.acquire('r')).toMatchObject({ status: 'taken' })
      await sleep(50)
    }
    held.assertValid()
    expect(held.signal.aborted).toBe(false)
    await held.release()
    expect(await redis.exists(lockKey)).toBe(0)
  })

  test('a lock that was taken away is lost at the next sign of life', async () => {
    const { lock, redis, lockKey } = await open({ ttlMs: 900 })
    const used = await lock.using('r', async ({ signal }) => {
      await redis.del(lockKey)
      await once(signal, 'abort')
      return signal.reason
    })
    expect(used).toEqual({ status: 'lost', value: expect.any(LockLost) })
  })

  test('who waits gets it when it is released', async () => {
    const { lock } = await open()
    const held = await take(lock)
    const waiting = take(lock, { waitMs: 20_000 })
    await sleep(100)
    await held.release()
    expect((await waiting).fence).toBeGreaterThan(held.fence)
  })

  test('who waits gives up at the deadline, or when told to', async () => {
    const { lock } = await open()
    await take(lock)
    const startedMs = performance.now()
    expect(await lock.acquire('r', { waitMs: 300 })).toMatchObject({ status: 'taken' })
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(299)
    const controller = new AbortController()
    const waiting = lock.acquire('r', { waitMs: 60_000, signal: controller.signal })
    setTimeout(() => controller.abort(new Error('stopping')), 50)
    await expect(waiting).rejects.toThrow('stopping')
    await expect(lock.acquire('r', { signal: controller.signal })).rejects.toThrow('stopping')
  })

  test('using releases it however the work ends', async () => {
    const { lock } = await open()
    expect(await lock.using('r', async ({ fence }) => fence > 0)).toEqual({ status: 'done', value: true })
    const broken = lock.using('r', () => Promise.reject(new Error('broken work')))
    await expect(broken).rejects.toThrow('broken work')
    const held = await take(lock)
    expect(await lock.using('r', async () => 'never')).toMatchObject({ status: 'taken' })
    await held.release()
  })

  test('of many who read, wait and write, none overwrites another; without the lock they do', async () => {
    const { keys } = await open()
    const connections = await Promise.all([1, 2, 3].map(() => connect(server.url)))
    const locks = connections.map((redis) => createLock(redis, { keys }))
    const rows = { guarded: 0, open: 0 }
    async function add(row: keyof typeof rows) {
      const seen = rows[row]
      await sleep(2)
      rows[row] = seen + 1
    }
    const results = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        (locks[i % 3] as Lock).using('r', () => add('guarded'), { waitMs: 60_000 }).then(({ status }) => status),
      ),
    )
    expect(results).toEqual(results.map(() => 'done'))
    expect(rows.guarded).toBe(24)
    await Promise.all(Array.from({ length: 24 }, () => add('open')))
    expect(rows.open).toBeLessThan(24)
  })

  test('both keys expire', async () => {
    const { lock, redis, lockKey, fenceKey } = await open({ ttlMs: 5_000 })
    await take(lock)
    expect(await redis.pttl(lockKey)).toBeGreaterThan(0)
    expect(await redis.pttl(fenceKey)).toBeGreaterThan(23 * 3_600_000)
  })
})

test.each([{ ttlMs: 0 }, { ttlMs: 600_000 }])('a time that does not fit the keys is refused: %o', (options) => {
  const redis = connectRedis('redis://127.0.0.1:1', { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  expect(() => createLock(redis, { keys: lockKeys('order', 'test'), ...options })).toThrow(RangeError)
})

describe('when Redis fails', () => {
  async function open(options: Partial<LockOptions> = {}) {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const proxy = await startFaultProxy({ port: server.port })
    onTestFinished(() => proxy.stop())
    const redis = await connect(proxy.url)
    return { server, proxy, redis, lock: createLock(redis, { keys: lockKeys('order', 'test'), ...options }) }
  }

  test('a lock whose confirmation was lost is still ours, with one fence', async () => {
    const { proxy, redis, lock } = await open()
    await (await take(lock)).release() // the server knows the scripts now
    const cut = proxy.cutAfterNextRequest('order:lock')
    const held = await take(lock)
    await cut
    expect(String(held.fence)).toBe(await redis.get(lockKeys('order', 'test').fence.key('r')))
    expect(await held.release()).toBe(true)
  })

  test('nobody gets it while Redis is away', async () => {
    const { proxy, redis, lock } = await open()
    await proxy.refuse()
    await until(() => redis.status !== 'ready')
    await expect(lock.acquire('r')).rejects.toBeInstanceOf(RedisUnavailable)
  })

  test('whoever holds it loses it before Redis gives it to another', async () => {
    const { server, proxy, lock } = await open({ ttlMs: 2_000 })
    const held = await take(lock)
    const other = createLock(await connect(server.url), { keys: lockKeys('order', 'test') })
    const lost = once(held.signal, 'abort')
    proxy.blackHole()
    const second = await take(other, { waitMs: 20_000 })
    expect(() => held.assertValid()).toThrow(LockLost) // by the clock, whether its timer has run or not
    await lost
    expect(second.fence).toBeGreaterThan(held.fence)
    await proxy.heal()
  })

  test('a server that has forgotten everything goes on with greater fences', async () => {
    const { server, redis, lock } = await open({ ttlMs: 3_000 })
    const before = await take(lock)
    await server.restart() // keeps no file
    await until(() => redis.status === 'ready')
    const after = await take(lock)
    expect(after.fence).toBeGreaterThan(before.fence)
    await until(() => before.signal.aborted)
    expect(await before.release()).toBe(false)
    after.assertValid()
  })

  test('work that has succeeded is not lost to a release that does not get through', async () => {
    const errors: unknown[] = []
    const { proxy, redis, lock } = await open({ onError: (error) => errors.push(error) })
    const used = await lock.using('r', async () => {
      await proxy.refuse()
      await until(() => redis.status !== 'ready')
      return 'result'
    })
    expect(used).toEqual({ status: 'done', value: 'result' })
    expect(errors).toEqual([expect.any(RedisUnavailable)])
  })
})

test('a user with the rights of the declared keys needs no others', async () => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const keys = lockKeys('order', 'test')
  const direct = new Server(server.port)
  onTestFinished(() => direct.disconnect())
  const commands = [
    'ping',
    'hello',
    'auth',
    'client|setname',
    'time',
    'type',
    'eval',
    'evalsha',
    'get',
    'set',
    'del',
    'pexpire',
    'pttl',
  ]
  const globs = [keys.lock.glob, keys.fence.glob].map((glob) => `~${glob}`)
  await direct.acl('SETUSER', 'app', 'on', '>secret', ...globs, ...commands.map((name) => `+${name}`))
  const redis = await connect(server.url.replace('://', '://app:secret@'))
  const lock = createLock(redis, { keys, ttlMs: 3_000 })
  const held = await take(lock)
  expect(await lock.acquire('r')).toMatchObject({ status: 'taken' })
  await sleep(1_300) // prolonged at least once
  held.assertValid()
  expect(await held.release()).toBe(true)
  const foreign = createLock(redis, { keys: lockKeys('order', 'other') })
  await expect(foreign.acquire('r')).rejects.toMatchObject({ message: expect.stringContaining('key') })
})

describe('a process that was stopped past its time', { timeout: 60_000 }, async () => {
  const server = await testRedis()

  async function start() {
    const database = await testDatabase()
    const pool = new pg.Pool({ connectionString: database.url, max: 1 })
    onTestFinished(() => pool.end())
    await pool.query('CREATE TABLE protected (id int PRIMARY KEY, value text, fence bigint NOT NULL)')
    await pool.query(`INSERT INTO protected VALUES (1, 'nobody', 0)`)
    const setup = { redisUrl: server.url, databaseUrl: database.url, namespace: server.namespace(), ttlMs: 3_000 }
    const [first, second] = await Promise.all([startHolder(setup), startHolder(setup)])
    const value = async () => (await pool.query('SELECT value FROM protected')).rows[0].value as string

    const fence = Number(await first.tell({ order: 'acquire', waitMs: 0 }))
    expect(fence).toBeGreaterThan(0)
    expect(await second.tell({ order: 'acquire', waitMs: 0 })).toBe('taken')
    first.child.kill('SIGSTOP')
    expect(await second.tell({ order: 'acquire', waitMs: 30_000 })).toBeGreaterThan(fence)
    expect(await second.tell({ order: 'write', value: 'second' })).toBe(1)
    return { first, second, value }
  }

  test('finds its signal aborted when it wakes, its write refused by the fence, and releases nothing', async () => {
    const { first, second, value } = await start()
    const write = first.tell({ order: 'write', value: 'first' }) // lies in its inbox
    first.child.kill('SIGCONT')
    expect(await write).toBe(0)
    await first.lost
    await expect(first.tell({ order: 'assert' })).rejects.toThrow('LOCK_LOST')
    expect(await first.tell({ order: 'release' })).toBe(false)
    expect(await value()).toBe('second')
    await second.tell({ order: 'assert' })
    expect(await second.tell({ order: 'release' })).toBe(true)
  })

  test('overwrites its successor where nobody looks at the fence', async () => {
    const { first, value } = await start()
    const write = first.tell({ order: 'naive', value: 'first' })
    first.child.kill('SIGCONT')
    expect(await write).toBe(1)
    expect(await value()).toBe('first')
  })
})

interface Holder {
  child: ChildProcess
  lost: Promise<void>
  /** One at a time. */
  tell(order: Order): Promise<unknown>
}

async function startHolder(setup: HolderSetup): Promise<Holder> {
  const child = fork(fileURLToPath(new URL('./holder.fixture.ts', import.meta.url)), [JSON.stringify(setup)], {
    execArgv: [],
  })
  onTestFinished(async () => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL') // wakes nobody, and ends the stopped too
    await gone
  })
  const lost = Promise.withResolvers<void>()
  let answered = Promise.withResolvers<unknown>()
  child.on('message', ({ event, result, error }: { event: string; result?: unknown; error?: string }) => {
    if (event === 'lost') lost.resolve()
    else if (error) answered.reject(new Error(error))
    else answered.resolve(result)
  })
  await answered.promise
  return {
    child,
    lost: lost.promise,
    tell(order) {
      answered = Promise.withResolvers()
      child.send(order)
      return answered.promise
    },
  }
}
async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within 15 s: ${condition}`)
    await sleep(10)
  }
}
