/** What a caller learns when the ACL refuses something, on a real server with the generated users. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { startRedis } from '@shop/test-kit/redis-server'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { aclFile } from '../../acl/acl.ts'
import { isRedisOutage, RedisNotPermitted } from '../../errors.ts'
import { keyFamily } from '../../keys.ts'
import { script } from '../../script.ts'
import { closeRedis, connectRedis, connectSubscriber, type Redis } from '../connection.ts'
import { notPermittedChannel } from './permission.ts'

const cart = keyFamily({
  service: 'order',
  pattern: 'order:cart:{<id>}',
  type: 'hash',
  role: 'state',
  ttl: { ms: 1 },
  example: [1],
  doc: 'a key of this test',
})
const status = keyFamily({
  service: 'order',
  pattern: 'order:status:<id>',
  type: 'channel',
  role: 'state',
  ttl: { immortal: 'a channel' },
  example: [1],
  doc: 'a key of this test',
})
const passwords = { order: 'order-password', health: 'health-password' }
const server = await startRedis({
  acl: aclFile('state', [cart, status], passwords),
  username: 'health',
  password: passwords.health,
})
const url = `redis://order:${passwords.order}@127.0.0.1:${server.port}`
const folder = mkdtempSync(join(tmpdir(), 'shop-permission-'))
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await server.stop()
})

function connect(): Redis {
  const redis = connectRedis(url, { name: 'test' })
  onTestFinished(() => closeRedis(redis))
  return redis
}

function lua(name: string, source: string) {
  writeFileSync(join(folder, name), source)
  return script<unknown>(pathToFileURL(join(folder, name)))
}

async function refusalOf(work: Promise<unknown>): Promise<RedisNotPermitted> {
  const error = await work.catch((caught) => caught)
  expect(error).toBeInstanceOf(RedisNotPermitted)
  return error as RedisNotPermitted
}

describe('a refusal by the ACL names the user, the command and the key', () => {
  test('of a command that no declared type brings', async () => {
    const refusal = await refusalOf(connect().sadd('order:wishes:1', 'secret-value'))
    expect(refusal).toMatchObject({
      user: 'order',
      missing: 'command',
      command: 'sadd',
      keys: ['order:wishes:1'],
      code: 'REDIS_NOT_PERMITTED',
    })
    expect(refusal.message).toBe('NOPERM the Redis user order may not run SADD on the key order:wishes:1')
  })

  test('of a subcommand', async () => {
    expect(await refusalOf(connect().config('GET', 'maxmemory'))).toMatchObject({
      missing: 'command',
      command: 'config|get',
    })
  })

  test('of a key that is not declared', async () => {
    const refusal = await refusalOf(connect().hset('order:basket:1', 'field', 'secret-value'))
    expect(refusal).toMatchObject({ missing: 'key', command: 'hset', keys: ['order:basket:1'] })
    expect(refusal.message).toBe('NOPERM the Redis user order may not use the key order:basket:1 with HSET')
  })

  test('of a channel, to publish and to subscribe', async () => {
    expect(await refusalOf(connect().publish('order:other', 'secret-value'))).toMatchObject({
      missing: 'channel',
      command: 'publish',
      keys: ['order:other'],
    })
    const subscriber = connectSubscriber(url, { name: 'test' })
    onTestFinished(() => subscriber.close())
    expect(await refusalOf(subscriber.subscribe('order:other', () => {}))).toMatchObject({
      missing: 'channel',
      keys: ['order:other'],
    })
  })

  test('in a pipeline', async () => {
    const replies = await connect().pipeline().hget(cart.key(1), 'f').hget('order:basket:1', 'f').exec()
    expect(replies?.[0]).toEqual([null, null])
    expect(replies?.[1]?.[0]).toMatchObject({ missing: 'key', keys: ['order:basket:1'] })
  })

  test.each([
    ['a command', "return redis.call('SADD', KEYS[1], ARGV[1])", 'command'],
    ['a key that it was not given', "return redis.call('HGET', 'order:basket:1', 'f')", 'key'],
    ['a channel', "return redis.call('PUBLISH', 'order:other', ARGV[1])", 'channel'],
    ['a command that it handles itself', "return redis.pcall('SADD', KEYS[1], ARGV[1])", 'command'],
  ])('of %s inside a script, which is named', async (_what, source, missing) => {
    const refusal = await refusalOf(lua(`touch-${missing}.lua`, source)(connect(), [cart.key(1)], ['secret-value']))
    expect(refusal).toMatchObject({ user: 'order', missing, script: `touch-${missing}.lua` })
    expect(refusal.message).toMatch(/^NOPERM the Redis user order may not (run|use) .* in touch-\w+\.lua/)
  })

  test('of a key that a script was given', async () => {
    const refusal = await refusalOf(
      lua('read.lua', "return redis.call('HGET', KEYS[1], 'f')")(connect(), ['order:basket:1']),
    )
    expect(refusal).toMatchObject({ missing: 'key', script: 'read.lua', keys: ['order:basket:1'] })
  })
})

test('a refusal tells no value, is not an outage, and is published for the log', async () => {
  const published: unknown[] = []
  const listen = (message: unknown) => void published.push(message)
  notPermittedChannel.subscribe(listen)
  onTestFinished(() => void notPermittedChannel.unsubscribe(listen))
  const refusal = await refusalOf(connect().sadd('order:wishes:1', 'secret-value'))
  expect(inspect(refusal, { depth: 10, showHidden: true })).not.toContain('secret-value')
  expect(isRedisOutage(refusal)).toBe(false)
  expect(published).toEqual([refusal])
})

test('a long id, which may be a secret, is shortened', async () => {
  const id = 'g-aNag8gb2PRVgWJmBbMgXLaB8fXOS4f8ksQoKzD4NDKI'
  expect((await refusalOf(connect().hget(`order:basket:{${id}}`, 'f'))).keys).toEqual(['order:basket:{g-aNag8g…}'])
})

test('an error of another kind stays what it is', async () => {
  const redis = connect()
  await redis.hset(cart.key(1), 'f', 'text')
  await expect(redis.hincrby(cart.key(1), 'f', 1)).rejects.toMatchObject({
    name: 'ReplyError',
    message: expect.stringMatching(/^ERR hash value/),
  })
})
