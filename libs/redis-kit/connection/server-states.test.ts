/** What a server goes through besides being away: loading, being demoted, a user with few rights, TLS, Sentinel. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { refusalWords, refuseWrites } from '@shop/test-kit/refused-writes'
import { Redis as Server } from 'ioredis'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { isRedisOutage, RedisUnavailable } from '../errors.ts'
import { closeRedis, connectRedis, connectSubscriber, type Redis, type RedisOptions, whenReady } from './connection.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options?: Parameters<typeof startRedis>[0]): Promise<RedisServer> {
  const server = await startRedis(options)
  cleanups.push(() => server.stop())
  return server
}
function connect(url: string, options?: Partial<RedisOptions>): Redis {
  const redis = connectRedis(url, { name: 'test', ...options })
  cleanups.push(() => closeRedis(redis))
  return redis
}
function connectDirect(port: number): Server {
  const direct = new Server(port)
  direct.on('error', () => {})
  cleanups.push(() => direct.disconnect())
  return direct
}
const outcomeOf = (promise: Promise<unknown>) => promise.catch((error: Error) => error) as Promise<Error>
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 15 s: ${condition}`)
    await sleep(20)
  }
}

test('a server that was killed is used again within five seconds of its restart', async () => {
  const server = await start()
  const redis = connect(server.url, { commandTimeoutMs: 300 })
  await whenReady(redis, 5000)
  await server.kill('SIGKILL')
  await until(async () => (await outcomeOf(redis.ping())) instanceof RedisUnavailable)
  await sleep(2000)
  await server.restart()
  const restartedMs = performance.now()
  await until(async () => (await outcomeOf(redis.ping())) === ('PONG' as unknown))
  expect(performance.now() - restartedMs).toBeLessThan(5000)
})

test('a frozen server settles commands in time, and is used again once it thaws', async () => {
  const server = await start()
  const redis = connect(server.url, { commandTimeoutMs: 300 })
  await whenReady(redis, 5000)
  await server.kill('SIGSTOP')
  const startedMs = performance.now()
  expect(isRedisOutage(await outcomeOf(redis.incr('frozen')))).toBe(true)
  expect(performance.now() - startedMs).toBeLessThan(600)
  await sleep(1500)
  await server.kill('SIGCONT')
  await until(async () => (await outcomeOf(redis.ping())) === ('PONG' as unknown))
  expect(await redis.get('frozen')).toBe('1') // it did arrive: this is what unknown means
})

test('a process that was busy for longer than the deadline still takes the answer that has arrived', async () => {
  const server = await start()
  const redis = connect(server.url, { commandTimeoutMs: 300 })
  await whenReady(redis, 5000)
  const answer = redis.incr('counter')
  await new Promise(setImmediate) // on its way
  const endMs = performance.now() + 600
  while (performance.now() < endMs);
  expect(await answer).toBe(1)
})

test('a server that loads its data is an outage, and no command is lost in it', async () => {
  // 100 ms per key, and other clients are answered in between
  const config = {
    'enable-debug-command': 'yes',
    'key-load-delay': '100000',
    'loading-process-events-interval-bytes': '1024',
  }
  const server = await start({ config })
  const redis = connect(server.url)
  const direct = connectDirect(server.port)
  await Promise.all(Array.from({ length: 20 }, (_, i) => direct.set(`key:${i}`, randomBytes(1024))))
  await whenReady(redis, 5000)
  const reloaded = direct.debug('RELOAD')
  await until(async () => {
    const outcome = await outcomeOf(redis.incr('counter'))
    if (outcome instanceof Error) expect(isRedisOutage(outcome)).toBe(true)
    return outcome instanceof Error && outcome.message.includes('LOADING')
  })
  // Whoever connects now waits until it is done instead of being ready with nothing to offer.
  const late = connect(server.url, { commandTimeoutMs: 200 })
  expect(await outcomeOf(late.get('key:1'))).toBeInstanceOf(RedisUnavailable)
  await reloaded
  await whenReady(late, 5000)
  expect(await late.strlen('key:1')).toBe(1024)
})

test('a demoted server is an outage: its connection is replaced and the write is not repeated', async () => {
  const server = await start()
  const direct = connectDirect(server.port)
  const redis = connect(server.url) as Server
  await redis.incr('counter')
  const { stream } = redis
  await direct.replicaof('127.0.0.1', 1)
  const refusal = await outcomeOf(redis.incr('counter'))
  expect(refusal).toMatchObject({ message: expect.stringContaining('READONLY') })
  expect(isRedisOutage(refusal)).toBe(true)
  await until(() => redis.status === 'ready' && redis.stream !== stream)
  await direct.replicaof('NO', 'ONE')
  expect(await redis.get('counter')).toBe('1')
  expect(await redis.incr('counter')).toBe(2)
})

test('a server that is full is an outage for writes and serves reads', async () => {
  const server = await start({ config: { maxmemory: '1', 'maxmemory-policy': 'noeviction' } })
  const redis = connect(server.url)
  const refusal = await outcomeOf(redis.set('key', 'value'))
  expect(refusal).toMatchObject({ message: expect.stringContaining('OOM') })
  expect(isRedisOutage(refusal)).toBe(true)
  expect(await redis.get('key')).toBeNull()
})

describe.each(refusalWords)('%s', (word) => {
  test('is an outage by every door, and over with its cause', async () => {
    const server = await start()
    const redis = connect(server.url)
    await redis.set('key', 'before')
    const heal = await refuseWrites(server.url, word)
    const doors: Record<string, () => Promise<unknown>> = {
      write: () => redis.set('key', 'during'),
      script: () => redis.eval("return redis.call('set', KEYS[1], 'during')", 1, 'key'),
      'script that catches it': () => redis.eval("return redis.pcall('set', KEYS[1], 'during')", 1, 'key'),
      'script that raises it again': () =>
        redis.eval("local ok, e = pcall(redis.call, 'set', KEYS[1], 'during') error(e)", 1, 'key'),
      pipeline: () =>
        redis
          .pipeline()
          .set('key', 'during')
          .exec()
          .then((results) => Promise.reject(results?.[0]?.[0])),
      transaction: () => redis.multi().set('key', 'during').exec(),
    }
    for (const [door, call] of Object.entries(doors)) {
      await until(() => redis.status === 'ready') // READONLY costs the connection
      const outcome = await outcomeOf(call())
      expect(outcome, door).toBeInstanceOf(RedisUnavailable)
      expect(outcome.message, door).toContain(word)
    }
    await until(async () => (await outcomeOf(redis.get('key'))) === ('before' as unknown))
    await heal()
    await until(async () => (await outcomeOf(redis.set('key', 'after'))) === ('OK' as unknown))
  })
})

test('a server that runs a script without end is an outage, and so is the script that an operator ends', async () => {
  const server = await start({ config: { 'busy-reply-threshold': '50' } })
  const redis = connect(server.url)
  const slow = connect(server.url, { commandTimeoutMs: 20_000 })
  const direct = connectDirect(server.port)
  await Promise.all([whenReady(redis, 5000), whenReady(slow, 5000), direct.ping()])
  const endless = outcomeOf(slow.eval('while true do end', 0))
  await until(async () => isRedisOutage(await outcomeOf(redis.get('key'))))
  expect((await outcomeOf(redis.get('key'))).message).toContain('BUSY')
  expect(await outcomeOf(redis.set('key', '1'))).toBeInstanceOf(RedisUnavailable)
  expect(await outcomeOf(redis.multi().get('key').exec())).toBeInstanceOf(RedisUnavailable)
  await until(async () => (await outcomeOf(direct.script('KILL'))) === ('OK' as unknown))
  expect(await endless).toBeInstanceOf(RedisUnavailable)
  expect(await redis.get('key')).toBeNull()
})

test('a replica without its master is an outage for reads, and they go on when it has one', async () => {
  const server = await start({ config: { 'replica-serve-stale-data': 'no' } })
  const redis = connect(server.url, { commandTimeoutMs: 5000 })
  const direct = connectDirect(server.port)
  await redis.set('key', 'value')
  await direct.replicaof('127.0.0.1', 1)
  const read = redis.get('key') // asked again until it is answered
  expect((await outcomeOf(redis.eval('return 1', 1, 'key'))).message).toContain('MASTERDOWN')
  await direct.replicaof('NO', 'ONE')
  expect(await read).toBe('value')
})

test('a read that blocks when its server is demoted is an outage', async () => {
  const server = await start()
  const redis = connect(server.url, { role: 'blocking', blockMs: 10_000 })
  const direct = connectDirect(server.port)
  await whenReady(redis, 5000)
  const popped = outcomeOf(redis.blpop('key', 10))
  await until(async () => (await direct.info('clients')).includes('blocked_clients:1'))
  await direct.replicaof('127.0.0.1', 1)
  expect(await popped).toBeInstanceOf(RedisUnavailable)
})

test('a full house and a missing password fail commands as unavailable and name the reason', async () => {
  const full = await start({ config: { maxclients: '1' } })
  const first = connect(full.url)
  await whenReady(first, 5000)
  const late = await outcomeOf(connect(full.url, { commandTimeoutMs: 300 }).get('key'))
  expect(late).toBeInstanceOf(RedisUnavailable)
  const locked = await start({ password: 'secret' })
  const stranger = await outcomeOf(connect(`redis://127.0.0.1:${locked.port}`, { commandTimeoutMs: 2_000 }).get('key'))
  expect(stranger).toBeInstanceOf(RedisUnavailable)
  expect(String(stranger.cause)).toContain('NOAUTH')
})

test('a node of a Cluster that is reached by a URL for one server is an outage where it refers to others', async () => {
  const node = await start({ config: { 'cluster-enabled': 'yes' } })
  const redis = connect(node.url, { commandTimeoutMs: 2_000 })
  expect(await outcomeOf(redis.get('key'))).toMatchObject({
    name: 'RedisUnavailable',
    message: expect.stringContaining('CLUSTERDOWN'),
  })
})

test('a mistake of the caller is no outage', async () => {
  const server = await start()
  const redis = connect(server.url)
  await redis.set('text', 'x')
  expect(isRedisOutage(await outcomeOf(redis.incr('text')))).toBe(false)
  expect(isRedisOutage(await outcomeOf(redis.lpush('text', 'LOADING')))).toBe(false)
})

describe('a user with few rights', () => {
  const rights = ['on', '>pw', '~app:*', '&app:*', '+@all', '-client', '-info', '-@admin']
  async function startWithUser(): Promise<string> {
    const server = await start()
    await connectDirect(server.port).acl('SETUSER', 'app', ...rights)
    return `redis://app:pw@127.0.0.1:${server.port}`
  }

  test('is connected without INFO or CLIENT, and nothing is printed', async () => {
    const warn = vi.spyOn(console, 'warn')
    const redis = connect(await startWithUser())
    expect(await redis.set('app:a', '1')).toBe('OK')
    await expect(redis.get('other')).rejects.toThrow('NOPERM')
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
  })

  test('is told so when it may not subscribe', async () => {
    const subscriber = connectSubscriber(await startWithUser(), { name: 'test' })
    cleanups.push(() => subscriber.close())
    await subscriber.subscribe('app:allowed', () => {})
    await expect(subscriber.subscribe('denied', () => {})).rejects.toThrow('NOPERM')
    expect(subscriber.isHealthy()).toBe(true)
  })
})

test('a wrong password fails commands as unavailable and names the reason', async () => {
  const server = await start({ password: 'right' })
  const onError = vi.fn()
  const redis = connect(server.url.replace('right', 'wrong'), { commandTimeoutMs: 2_000, onError })
  const outcome = await outcomeOf(redis.get('key'))
  expect(outcome).toBeInstanceOf(RedisUnavailable)
  expect(String(outcome.cause)).toContain('WRONGPASS')
  expect(onError).toHaveBeenCalled()
})

test('TLS: the authority is checked', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shop-tls-'))
  cleanups.push(() => rm(folder, { recursive: true }))
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')],
    ],
    { stdio: 'ignore' },
  )
  const plain = await start()
  const port = plain.port + 10_000 > 65_535 ? plain.port - 10_000 : plain.port + 10_000
  await start({
    config: {
      'tls-port': String(port),
      'tls-cert-file': join(folder, 'cert.pem'),
      'tls-key-file': join(folder, 'key.pem'),
      'tls-ca-cert-file': join(folder, 'cert.pem'),
      'tls-auth-clients': 'no',
    },
  })
  const url = `rediss://127.0.0.1:${port}`
  const ca = await readFile(join(folder, 'cert.pem'))
  const redis = connect(url, { tls: { ca } })
  const results = await Promise.all(Array.from({ length: 100 }, () => redis.incr('n')))
  expect(results.at(-1)).toBe(100)
  const suspicious = connect(url, { commandTimeoutMs: 2_000 })
  expect(String((await outcomeOf(suspicious.get('n'))).cause)).toContain('self-signed')
})
