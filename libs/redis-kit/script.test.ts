import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { startCluster, startRedis } from '@shop/test-kit/redis-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeRedis, connectRedis, type Redis } from './connection/connection.ts'
import { OutcomeUnknown } from './errors.ts'
import { CrossSlotKeys, script } from './script.ts'

const folder = await mkdtemp(join(tmpdir(), 'shop-scripts-'))
afterAll(() => rm(folder, { recursive: true }))

async function lua(name: string, source: string): Promise<URL> {
  const path = join(folder, `${name}.lua`)
  await writeFile(path, source)
  return pathToFileURL(path)
}
const addTo = await lua('add', `return {redis.call('INCRBY', KEYS[1], ARGV[1]), #KEYS, ARGV[2] or ''}`)
const add = script<[total: number, keyCount: number, note: string]>(addTo)

const servers = {
  'one server': startRedis,
  'a Cluster': startCluster,
} as const

describe.each(Object.keys(servers) as (keyof typeof servers)[])('on %s', (name) => {
  let server: Awaited<ReturnType<typeof startRedis | typeof startCluster>>
  let redis: Redis

  beforeAll(async () => {
    server = await servers[name]()
    redis = connectRedis(server.url, { name: 'test', commandTimeoutMs: 2000 })
  })
  afterAll(async () => {
    await closeRedis(redis)
    await server.stop()
  })

  test('a script gets its keys and arguments and returns its reply', async () => {
    expect(await add(redis, ['a'], [2, 'note'])).toEqual([2, 1, 'note'])
    expect(await add(redis, ['a'], ['3'])).toEqual([5, 1, ''])
  })

  test('it is found again by every node after SCRIPT FLUSH, and runs once', async () => {
    const keys = Array.from({ length: 20 }, (_, i) => `flushed:${i}`)
    const run = () => Promise.all(keys.map((key) => add(redis, [key], [1]).then(([total]) => total)))
    expect(await run()).toEqual(keys.map(() => 1))
    await Promise.all(('nodes' in redis ? redis.nodes() : [redis]).map((node) => node.script('FLUSH')))
    expect(await run()).toEqual(keys.map(() => 2))
  })

  test('keys with one hash tag are accepted, others refused before anything is sent', async () => {
    expect(await add(redis, ['{x}:a', '{x}:b', 'c:{x}'], [1])).toEqual([1, 3, ''])
    for (const keys of [
      ['a', 'b'],
      ['{x}:a', '{y}:a'],
      ['{}x', '{}y'],
      ['{x', '{x}'],
    ]) {
      await expect(add(redis, keys, [1])).rejects.toThrow(CrossSlotKeys)
    }
    await expect(add(redis, ['p:{one}', 'p:{two}'], [1])).rejects.toThrow('add.lua got keys of different hash slots')
  })

  test('binary replies and arguments stay bytes', async () => {
    const echo = script<[Buffer, Buffer]>(await lua('echo', 'return {KEYS[1], ARGV[1]}'), { binary: true })
    const bytes = Buffer.from([0, 255, 13, 10, 128])
    expect(await echo(redis, ['k'], [bytes])).toEqual([Buffer.from('k'), bytes])
  })

  test('an error raised by a script is a reply', async () => {
    const fail = script(await lua('fail', `return redis.error_reply('SHOP nothing left')`))
    await expect(fail(redis, ['k'])).rejects.toMatchObject({ name: 'ReplyError', message: 'SHOP nothing left' })
  })
})

describe('when the answer is lost', () => {
  let server: Awaited<ReturnType<typeof startRedis>>
  let proxy: FaultProxy
  let redis: Redis

  beforeAll(async () => {
    server = await startRedis()
    proxy = await startFaultProxy({ port: server.port })
    redis = connectRedis(proxy.url, { name: 'test', commandTimeoutMs: 2000 })
  })
  afterAll(async () => {
    await closeRedis(redis)
    await proxy.stop()
    await server.stop()
  })

  test('a script runs once', async () => {
    await add(redis, ['once'], [1])
    const cut = proxy.cutAfterNextRequest('once')
    await expect(add(redis, ['once'], [1])).rejects.toBeInstanceOf(OutcomeUnknown)
    await cut
    expect(await redis.get('once')).toBe('2')
  })

  test.each(['read', 'idempotent'] as const)('a script declared %s is run again', async (effect) => {
    const again = script<[total: number]>(addTo, { effect })
    await again(redis, [effect], [1])
    const cut = proxy.cutAfterNextRequest(effect)
    const [total] = await again(redis, [effect], [1])
    expect(total).toBe(3) // it shows, since this one is neither
    await cut
  })

  test('the failure of an idempotent script stays unknown once it was sent', async () => {
    const again = script(addTo, { effect: 'idempotent' })
    await again(redis, ['lost'], [1])
    proxy.blackHole()
    await expect(again(redis, ['lost'], [1])).rejects.toBeInstanceOf(OutcomeUnknown)
    await proxy.heal()
  })
})

test('a missing file fails when the script is declared', () => {
  expect(() => script(new URL('./missing.lua', import.meta.url))).toThrow('ENOENT')
})
