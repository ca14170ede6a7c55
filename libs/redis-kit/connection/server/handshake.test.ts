/** A server that answers PING and serves keys is ready, whatever it forbids or does not know of what is sent at the start. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { findRedisServer, startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Redis as Server } from 'ioredis'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { closeRedis, connectRedis, connectSubscriber, whenReady } from '../connection.ts'
import { errorReply, greet, startWireServer } from '../wire-server.fixture.ts'
import { checkEvictionPolicy } from './eviction-policy.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
function talkTo(port: number): Server {
  const direct = new Server(port)
  direct.on('error', () => {})
  cleanups.push(() => direct.disconnect())
  return direct
}
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 15_000
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 15 s: ${condition}`)
    await sleep(20)
  }
}

/** Started without the helper, which itself asks INFO whether the server is the right one. Sentinels need a file anyway. */
async function startByFile(lines: string[], ...flags: string[]): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'shop-forbidding-'))
  const spare = await startFaultProxy({ port: 1 }) // for its free port
  await spare.stop()
  const file = join(folder, 'redis.conf')
  await writeFile(file, [`port ${spare.port}`, 'bind 127.0.0.1', `dir ${folder}`, ...lines].join('\n'))
  const server: ChildProcess = spawn(findRedisServer() as string, [file, ...flags], { stdio: 'ignore' })
  cleanups.push(async () => {
    server.kill('SIGKILL')
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
    await rm(folder, { recursive: true })
  })
  return spare.port
}

/** Commands and messages get through, nothing is printed, and nothing is asked for that is not there. */
async function expectToServe(url: string): Promise<void> {
  const warn = vi.spyOn(console, 'warn')
  const error = vi.spyOn(console, 'error')
  const redis = connectRedis(url, { name: 'test', commandTimeoutMs: 5000 })
  const blocking = connectRedis(url, { name: 'test', role: 'blocking', blockMs: 5000 })
  const subscriber = connectSubscriber(url, { name: 'test', commandTimeoutMs: 5000 })
  cleanups.push(() => Promise.all([closeRedis(redis), closeRedis(blocking), subscriber.close()]))
  await whenReady(redis, 10_000)
  for (let i = 0; i < 20; i += 1) expect(await redis.set(`key:${i}`, String(i))).toBe('OK')
  expect(await redis.get('key:7')).toBe('7')
  expect(await redis.rpush('list', 'a')).toBe(1)
  expect(await blocking.blpop('list', 1)).toEqual(['list', 'a'])
  const heard: string[] = []
  await subscriber.subscribe('channel', (message) => heard.push(message))
  await redis.publish('channel', 'hello')
  await until(() => heard.length === 1)
  await until(() => subscriber.isHealthy())
  expect(await checkEvictionPolicy(redis, 'state')).toHaveProperty('status')
  expect(warn).not.toHaveBeenCalled()
  expect(error).not.toHaveBeenCalled()
  vi.restoreAllMocks()
}

const FORBIDDEN = ['info', 'client', 'hello', 'ping', 'command', 'config', 'role', 'cluster', 'readonly']
const RIGHTS = ['on', '>pw', '~*', '&*', '+@all']

describe('one server', () => {
  test.each(FORBIDDEN)('without the right to %s', async (name) => {
    const server = await startRedis()
    cleanups.push(() => server.stop())
    await talkTo(server.port).acl('SETUSER', 'app', ...RIGHTS, `-${name}`)
    await expectToServe(`redis://app:pw@127.0.0.1:${server.port}`)
  })

  test.each(FORBIDDEN.filter((name) => name !== 'ping'))('that does not know %s', async (name) => {
    const port = await startByFile(['save ""', `rename-command ${name} ""`])
    await expectToServe(`redis://127.0.0.1:${port}`)
  })

  test('that knows none of them, with a password', async () => {
    const renames = FORBIDDEN.filter((name) => name !== 'ping').map((name) => `rename-command ${name} ""`)
    const port = await startByFile(['save ""', 'requirepass secret', ...renames])
    await expectToServe(`redis://:secret@127.0.0.1:${port}`)
  })

  test.each([
    'ERR unsupported command',
    'ERR This command is not available',
    "NOPERM this user has no permissions to run the 'hello' command",
  ])('behind a proxy that says "%s" to all but AUTH, PING and GET', async (text) => {
    const answers: Record<string, string> = { auth: '+OK\r\n', ping: '+PONG\r\n', get: '$1\r\n1\r\n' }
    const server = await startWireServer(([name = '']) => answers[name.toLowerCase()] ?? errorReply(text))
    const redis = connectRedis(`redis://user:secret@127.0.0.1:${server.port}`, { name: 'test', commandTimeoutMs: 5000 })
    cleanups.push(() => closeRedis(redis))
    expect(await redis.get('key')).toBe('1')
    expect(server.commands).toContainEqual(['auth', 'user', 'secret'])
  })

  test('a password gets into no error, whatever the server quotes', async () => {
    const server = await startWireServer(([name = '', ...args]) =>
      errorReply(`ERR unknown command '${name}', with args beginning with: ${args.map((a) => `'${a}'`).join(' ')}`),
    )
    const errors: Error[] = []
    const redis = connectRedis(`redis://somebody:hunter2@127.0.0.1:${server.port}`, {
      name: 'test',
      commandTimeoutMs: 300,
      onError: (error) => errors.push(error),
    })
    cleanups.push(() => closeRedis(redis))
    const outcome = await redis.get('key').catch((error) => error)
    expect(errors.length).toBeGreaterThan(0)
    const printed = (error: Error) =>
      `${error.stack} ${JSON.stringify(error)} ${error.cause ?? ''} ${JSON.stringify(error.cause)}`
    for (const text of [outcome, ...errors].map(printed)) expect(text).not.toMatch(/hunter2|somebody/)
  })
})

describe('a Cluster', () => {
  test.each([...FORBIDDEN, 'cluster|slots', 'cluster|info'])('without the right to %s', async (name) => {
    const cluster = await startCluster()
    cleanups.push(() => cluster.stop())
    for (const { port } of cluster.nodes) await talkTo(port).acl('SETUSER', 'app', ...RIGHTS, `-${name}`)
    await expectToServe(cluster.url.replace('://', '://app:pw@'))
  })

  test('whose nodes do not know CLUSTER', async () => {
    const answers: Record<string, string> = { get: '$1\r\n1\r\n' }
    const server = await startWireServer((args) => {
      const name = args[0]?.toLowerCase() as string
      return answers[name] ?? greet(args) ?? errorReply(`ERR unknown command '${name}'`)
    })
    const redis = connectRedis(`redis+cluster://127.0.0.1:${server.port}`, { name: 'test', commandTimeoutMs: 5000 })
    cleanups.push(() => closeRedis(redis))
    expect(await redis.get('key')).toBe('1')
  })
})

describe('a Sentinel', () => {
  test.each(['hello', 'client', 'info', 'ping', 'command', 'sentinel|sentinels', 'sentinel|replicas'])(
    'without the right to %s',
    async (name) => {
      const server = await startRedis()
      cleanups.push(() => server.stop())
      const port = await startByFile([`sentinel monitor main 127.0.0.1 ${server.port} 1`], '--sentinel')
      const sentinel = talkTo(port)
      await sentinel.acl('SETUSER', 'app', ...RIGHTS, `-${name}`)
      await expectToServe(`redis+sentinel://127.0.0.1:${port}/main?sentinel-username=app&sentinel-password=pw`)
    },
  )
})
