/** Every error reply that a server can give, and what a caller of the kit gets for it. server-states.test.ts has those of real servers. */

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { closeRedis, connectRedis, type Redis } from './connection/connection.ts'
import { unlessOnItsWay } from './connection/on-its-way.fixture.ts'
import { errorReply, greet, startWireServer } from './connection/wire-server.fixture.ts'
import { isRedisOutage, RedisUnavailable } from './errors.ts'

/** Word for word as in the sources of Redis 7.0, Redis 8 and Valkey 9. */
const OUTAGES = [
  'LOADING Redis is loading the dataset in memory',
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  'BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  'DENIED Redis is running in protected mode because protected mode is enabled',
  "READONLY You can't write against a read only replica.",
  "READONLY You can't write against a read only replica. script: 4e1c, on @user_script:1.",
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'CLUSTERDOWN The cluster is down',
  'CLUSTERDOWN The cluster is down and only accepts read commands',
  'CLUSTERDOWN Hash slot not served',
  'TRYAGAIN Multiple keys request during rehashing of slot',
  'MOVED 3999 127.0.0.1:6381',
  'ASK 3999 127.0.0.1:6381',
  'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
  'UNBLOCKED client unblocked via CLIENT UNBLOCK',
  "OOM command not allowed when used memory > 'maxmemory'.",
  "OOM command not allowed when used memory > 'maxmemory'. script: 2597, on @user_script:1.",
  'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
  'MISCONF Errors writing to the AOF file: No space left on device',
  'NOREPLICAS Not enough good replicas to write.',
  'NOAUTH Authentication required.',
  'WRONGPASS invalid username-password pair or user is disabled.',
  'ERR max number of clients reached',
  'ERR max number of clients + cluster connections reached',
  'ERR Script killed by user with SCRIPT KILL... script: 694a, on @user_script:1.',
  "ERR user_script:1: OOM command not allowed when used memory > 'maxmemory'. script: 82b9, on @user_script:1.",
  "ERR Error running script (call to f_694a): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
  'EXECABORT Transaction discarded because of: BUSY Redis is busy running a script.',
]
const NO_OUTAGES = [
  'WRONGTYPE Operation against a key holding the wrong kind of value',
  'ERR syntax error',
  "ERR unknown command 'READONLY', with args beginning with: 'OOM' 'LOADING' ",
  "ERR wrong number of arguments for 'get' command",
  'ERR value is not an integer or out of range',
  'ERR user_script:1: attempt to compare nil with number script: 82b9, on @user_script:1.',
  'ERR user_script:1: the basket is BUSY script: 82b9, on @user_script:1.',
  'NOSCRIPT No matching script. Please use EVAL.',
  'NOGROUP No such key or consumer group',
  'BUSYGROUP Consumer Group name already exists',
  'BUSYKEY Target key name already exists.',
  "CROSSSLOT Keys in request don't hash to the same slot",
  'NOPROTO unsupported protocol version',
  'EXECABORT Transaction discarded because of previous errors.',
  'IOERR error or timeout reading to target instance',
  'UNKILLABLE Sorry the script already executed write commands against the dataset.',
  'NOTBUSY No scripts in execution right now.',
  'INPROG Failover already in progress',
  'NOGOODSLAVE No suitable replica to promote',
  "NOMASTERLINK Can't SYNC while not connected with my master",
]

async function setUp(reply: string) {
  const server = await startWireServer((args) => greet(args) ?? errorReply(reply))
  const redis = connectRedis(`redis://127.0.0.1:${server.port}`, { name: 'test', commandTimeoutMs: 300 })
  onTestFinished(() => closeRedis(redis))
  return { server, redis }
}
const outcomeOf = (promise: Promise<unknown>) => promise.catch((error: Error) => error) as Promise<Error>

const calls: Record<string, (redis: Redis) => Promise<unknown>> = {
  'a read': (redis) => redis.get('key'),
  'a write': (redis) => redis.set('key', 'value'),
  'a script': (redis) => redis.eval('return 1', 1, 'key'),
  'a pipeline': async (redis) => {
    const results = await redis.pipeline().set('key', 'value').exec()
    throw results?.[0]?.[0]
  },
  'a transaction': (redis) => redis.multi().set('key', 'value').exec(),
}

describe.each(Object.keys(calls))('%s', (name) => {
  const call = calls[name] as (redis: Redis) => Promise<unknown>

  test.each(OUTAGES)('gets an outage, and not the raw reply, for %s', async (reply) => {
    const { redis } = await setUp(reply)
    const outcome = await unlessOnItsWay(() => outcomeOf(call(redis)))
    expect(outcome).toBeInstanceOf(RedisUnavailable)
    expect(isRedisOutage(outcome)).toBe(true)
    expect(outcome.message).toContain(reply)
    expect(String(outcome.cause)).toContain(reply)
  })

  test.each(NO_OUTAGES)('gets the reply itself for %s', async (reply) => {
    const { redis } = await setUp(reply)
    const outcome = await unlessOnItsWay(() => outcomeOf(call(redis)))
    expect(outcome).toMatchObject({ name: 'ReplyError', message: reply })
    expect(isRedisOutage(outcome)).toBe(false)
  })
})

test('a missing right is no outage', async () => {
  const { redis } = await setUp("NOPERM User app has no permissions to run the 'get' command")
  expect(isRedisOutage(await outcomeOf(redis.get('key')))).toBe(false)
})

test('a transaction that a queued command was refused in fails as that reply says', async () => {
  const reply = "OOM command not allowed when used memory > 'maxmemory'."
  const { redis, server } = await setUp(reply)
  const aborted = errorReply('EXECABORT Transaction discarded because of previous errors.')
  const answers: Record<string, string> = { multi: '+OK\r\n', exec: aborted }
  server.answer((args) => greet(args) ?? answers[args[0] as string] ?? errorReply(reply))
  expect(await outcomeOf(redis.multi().set('key', 'value').exec())).toBeInstanceOf(RedisUnavailable)
  const told = Promise.withResolvers<unknown>()
  void redis.multi().set('key', 'value').exec(told.resolve)
  expect(await told.promise).toBeInstanceOf(RedisUnavailable)
  server.answer((args) => greet(args) ?? answers[args[0] as string] ?? errorReply('ERR syntax error'))
  const outcome = await outcomeOf(redis.multi().set('key', 'value').exec())
  expect(outcome.message).toMatch(/^EXECABORT/)
  expect(isRedisOutage(outcome)).toBe(false)
})

test('a read is asked again until the server can serve it, and a write is not', async () => {
  const { redis, server } = await setUp('LOADING Redis is loading the dataset in memory')
  const read = redis.get('key')
  expect(await outcomeOf(redis.set('key', 'value'))).toBeInstanceOf(RedisUnavailable)
  const isGet = ([name]: string[]) => name === 'get'
  server.answer((args) => greet(args) ?? (isGet(args) ? '$5\r\nvalue\r\n' : errorReply('ERR syntax error')))
  expect(await read).toBe('value')
  expect(server.commands.filter(([name]) => name === 'set')).toHaveLength(1)
})

test('a server that has refused to read for longer than the deadline is not waited for any more', async () => {
  const { redis, server } = await setUp(
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  )
  await outcomeOf(redis.get('key'))
  await outcomeOf(redis.get('key'))
  const countOf = () => server.commands.filter(([name]) => name === 'get').length
  const before = countOf()
  await Promise.all(Array.from({ length: 20 }, () => outcomeOf(redis.get('key'))))
  expect(countOf() - before).toBe(20) // once each, and not again and again
  server.answer((args) => greet(args) ?? '$5\r\nvalue\r\n')
  expect(await redis.get('key')).toBe('value')
})

test('a read waits out a short outage although the one before it, long ago, ended without a read', async () => {
  const { redis, server } = await setUp('CLUSTERDOWN The cluster is down')
  expect(await outcomeOf(redis.get('key'))).toBeInstanceOf(RedisUnavailable)
  onTestFinished(() => void vi.useRealTimers())
  vi.useFakeTimers({ toFake: ['performance'] })
  vi.advanceTimersByTime(60_000)
  let refusedCount = 0
  server.answer((args) => {
    if (args[0] !== 'get') return greet(args)
    refusedCount += 1
    return refusedCount === 1 ? errorReply('CLUSTERDOWN The cluster is down') : '$5\r\nvalue\r\n'
  })
  expect(await redis.get('key')).toBe('value')
})
