import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cluster, Redis } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { isAlive } from '../fixtures/alive.ts'
import { type RedisOptions, startCluster, startRedis } from './redis-server.ts'
import { ask } from './redis-wire.ts'

vi.setConfig({ testTimeout: 60_000 }) // several starts of a server in a row, perhaps on a busy machine

async function start(options?: RedisOptions) {
  const server = await startRedis(options)
  onTestFinished(() => server.stop())
  return server
}

async function dirOf(port: number, password?: string) {
  const reply = await ask({ port, password }, [['CONFIG', 'GET', 'dir']])
  return /shop-redis-[^\r]+/.exec(reply ?? '')?.[0] ?? ''
}

test('a stopped server leaves neither process nor folder behind', async () => {
  const server = await startRedis()
  const dir = join(tmpdir(), await dirOf(server.port))
  expect([isAlive(server.pid), existsSync(dir)]).toEqual([true, true])
  await server.stop()
  await server.stop()
  expect([isAlive(server.pid), existsSync(dir)]).toEqual([false, false])
})

test('a server whose parent is killed goes with it, its folder too', async () => {
  const parent = spawn(process.execPath, [join(import.meta.dirname, '../fixtures/orphan.ts'), 'redis'])
  const [output] = await once(parent.stdout, 'data')
  const [pid, folder] = String(output).trim().split(' ')
  const isThere = () => [isAlive(Number(pid)), existsSync(folder ?? '')]
  expect(isThere()).toEqual([true, true])
  parent.kill('SIGKILL')
  await expect.poll(isThere, { timeout: 20_000 }).toEqual([false, false])
})

test('twelve servers started at once do not collide', async () => {
  const servers = await Promise.all(Array.from({ length: 12 }, () => start()))
  expect(new Set(servers.map(({ port }) => port)).size).toBe(12)
  const pids = await Promise.all(servers.map(async ({ port }) => await ask({ port }, [['INFO', 'server']])))
  expect(pids.map((info) => Number(/process_id:(\d+)/.exec(info ?? '')?.[1]))).toEqual(servers.map(({ pid }) => pid))
})

test('a port that was asked for and is taken is an error with the reason', async () => {
  const { port } = await start()
  await expect(startRedis({ port })).rejects.toThrow(/already in use/)
})

test('a server that cannot start says why', async () => {
  await expect(startRedis({ config: { maxmemory: 'plenty' } })).rejects.toThrow(/argument must be a memory value/)
})

test('the password is needed, odd as it may be, and is in no process list', async () => {
  const password = 'p"w\\ ü@/'
  const server = await start({ password })
  const redis = new Redis(server.url)
  onTestFinished(() => redis.disconnect())
  expect(await redis.ping()).toBe('PONG')
  expect(await ask({ port: server.port }, [])).toBeUndefined()
})

test('by default nothing is persisted, and a folder with an append-only file survives SIGKILL', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'shop-aof-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const forgetful = await start()
  const lasting = await start({ dir, config: { appendonly: 'yes', appendfsync: 'always' } })
  for (const { port } of [forgetful, lasting]) await ask({ port }, [['SET', 'key', 'value']])
  for (const server of [forgetful, lasting]) {
    const { pid, port } = server
    await server.kill('SIGKILL')
    expect(isAlive(pid)).toBe(false)
    await server.restart()
    expect(server.pid).not.toBe(pid)
    expect(server.port).toBe(port)
  }
  expect(await ask({ port: forgetful.port }, [['EXISTS', 'key']])).toContain(':0')
  expect(await ask({ port: lasting.port }, [['EXISTS', 'key']])).toContain(':1')
  await lasting.stop()
  expect(existsSync(dir)).toBe(true)
})

test('a frozen server answers nobody until it goes on, and can be stopped frozen', async () => {
  const server = await start()
  await server.kill('SIGSTOP')
  expect(await ask({ port: server.port }, [], 200)).toBeUndefined()
  await server.kill('SIGCONT')
  expect(await ask({ port: server.port }, [], 2000)).toBe('+PONG\r\n')
  await server.kill('SIGSTOP')
  await server.stop()
  expect(isAlive(server.pid)).toBe(false)
})

test('a Cluster takes keys of every slot, and leaves nothing behind', async () => {
  const cluster = await startCluster({ password: 'secret' })
  const { pids, dirs } = {
    pids: cluster.nodes.map(({ pid }) => pid),
    dirs: await Promise.all(cluster.nodes.map(({ port }) => dirOf(port, 'secret'))),
  }
  const hosts = cluster.nodes.map(({ port }) => ({ port, host: '127.0.0.1' }))
  const redis = new Cluster(hosts, { redisOptions: { password: 'secret' } })
  const keys = Array.from({ length: 200 }, (_, index) => `key:${index}`)
  await Promise.all(keys.map((key) => redis.set(key, key)))
  expect(await Promise.all(keys.map((key) => redis.get(key)))).toEqual(keys)
  const sizes = await Promise.all(redis.nodes('master').map((node) => node.dbsize()))
  expect(sizes).toHaveLength(3)
  expect(Math.min(...sizes)).toBeGreaterThan(0)
  redis.disconnect()
  await cluster.stop()
  expect(pids.filter(isAlive)).toEqual([])
  expect(dirs.filter((dir) => existsSync(join(tmpdir(), dir)))).toEqual([])
})
