/** What one caller may not do to a connection that others use, through whatever door. */
import { startCluster, startRedis } from '@shop/test-kit/redis-server'
import { type Cluster, Command, Pipeline, Redis as Server } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeRedis, connectRedis, pendingOn, type Redis, type RedisOptions, whenReady } from './connection.ts'
import { harmOf } from './sharing.ts'

type Call = [name: string, ...args: (string | number | Buffer)[]]

const CHANGING: Call[] = [
  ['ASKING'],
  ['AUTH', 'password'],
  ['HELLO', 2],
  ['HELLO', 3, 'AUTH', 'default', 'other'],
  ['QUIT'],
  ['READONLY'],
  ['READWRITE'],
  ['RESET'],
  ['SELECT', 1],
  ['MULTI'],
  ['EXEC'],
  ['DISCARD'],
  ['WATCH', 'key'],
  ['UNWATCH'],
  ['MONITOR'],
  ['SYNC'],
  ['PSYNC', '?', -1],
  ['REPLCONF', 'listening-port', 1],
  ['SUBSCRIBE', 'channel'],
  ['PSUBSCRIBE', 'channel*'],
  ['SSUBSCRIBE', 'key'],
  ['UNSUBSCRIBE', 'channel'],
  ['PUNSUBSCRIBE'],
  ['SUNSUBSCRIBE'],
  ['CLIENT', 'REPLY', 'OFF'],
  ['CLIENT', 'REPLY', 'SKIP'],
  ['CLIENT', Buffer.from('reply'), 'off'],
  ['CLIENT', 'NO-EVICT', 'ON'],
  ['CLIENT', 'NO-TOUCH', 'ON'],
  ['CLIENT', 'TRACKING', 'ON'],
  ['CLIENT', 'CACHING', 'YES'],
  ['CLIENT', 'SETNAME', 'other'],
  ['CLIENT', 'SETINFO', 'LIB-NAME', 'other'],
  ['CLIENT', 'CAPA', 'redirect'],
  ['CLIENT', 'OF-A-NEWER-SERVER'],
  ['SCRIPT', 'DEBUG', 'YES'],
]
const BLOCKING: Call[] = [
  ['BLPOP', 'key', 5],
  ['BRPOP', 'key', 5],
  ['BRPOPLPUSH', 'key', '{key}', 5],
  ['BLMOVE', 'key', '{key}', 'LEFT', 'LEFT', 5],
  ['BLMPOP', 5, 1, 'key', 'LEFT'],
  ['BZPOPMIN', 'key', 5],
  ['BZPOPMAX', 'key', 5],
  ['BZMPOP', 5, 1, 'key', 'MIN'],
  ['XREAD', 'BLOCK', 5000, 'STREAMS', 'key', '$'],
  ['XREAD', 'COUNT', 1, Buffer.from('block'), 0, 'STREAMS', 'key', '$'],
  ['XREADGROUP', 'GROUP', 'group', 'consumer', 'BLOCK', 5000, 'STREAMS', 'key', '>'],
  ['XREADGROUP', 'BLOCK', 'forever', 'GROUP', 'group', 'consumer', 'STREAMS', 'key', '>'],
  ['WAIT', 1, 5000],
  ['WAITAOF', 1, 0, 5000],
]
const STOPPING: Call[] = [
  ['SHUTDOWN', 'NOSAVE'],
  ['DEBUG', 'SLEEP', 5],
  ['DEBUG', 'SEGFAULT'],
  ['SAVE'],
  ['FAILOVER'],
  ['MIGRATE', '127.0.0.1', 1, 'key', 0, 5000],
  ['CLIENT', 'PAUSE', 5000],
  ['CLIENT', 'UNPAUSE'],
  ['CLIENT', 'KILL', 'TYPE', 'normal'],
  ['CLIENT', 'UNBLOCK', 1],
  ['SCRIPT', 'KILL'],
  ['FUNCTION', 'KILL'],
]
const HARMLESS: Call[] = [
  ['PING'],
  ['CLIENT', 'ID'],
  ['CLIENT', 'LIST'],
  ['XREAD', 'STREAMS', 'block', 0],
  ['XREADGROUP', 'GROUP', 'block', 'block', 'STREAMS', 'block', '>'],
  ['SCRIPT', 'EXISTS', 'x'],
  ['FUNCTION', 'LIST'],
]
const casings: ((text: string) => string)[] = [
  (text) => text,
  (text) => text.toLowerCase(),
  (text) => text[0] + text.slice(1).toLowerCase(),
]
const recased = ([name, ...args]: Call, casing: (text: string) => string): Call => [
  casing(name),
  ...args.map((argument) => (typeof argument === 'string' ? casing(argument) : argument)),
]

/** Inside of what is written as one, these end a transaction early or are an error reply, and leave nothing behind. */
const INSIDE_BATCHES = new Set(['DISCARD', 'EXEC'])

type Door = (redis: Redis, call: Call) => Promise<unknown>
const doors: Record<string, Door> = {
  call: (redis, [name, ...args]) => redis.call(name, ...args),
  'call with a list': (redis, [name, ...args]) => redis.call(name, args as never),
  callBuffer: (redis, [name, ...args]) => redis.callBuffer(name, ...args),
  sendCommand: (redis, [name, ...args]) => {
    const command = new Command(name, args)
    void redis.sendCommand(command)
    return command.promise
  },
  pipeline: (redis, [name, ...args]) =>
    redis
      .pipeline()
      .get('key')
      .call(name, ...args)
      .get('key')
      .exec(),
  'pipeline of a list': (redis, [name, ...args]) =>
    redis
      .pipeline([
        ['get', 'key'],
        ['call', name, ...args],
      ])
      .exec(),
  transaction: (redis, [name, ...args]) =>
    redis
      .multi()
      .get('key')
      .call(name, ...args)
      .exec(),
  'transaction in a pipeline': async (redis, [name, ...args]) => {
    const pipeline = redis.pipeline()
    void (pipeline as unknown as { multi(): unknown }).multi()
    pipeline.call(name, ...args)
    await pipeline.exec() // closes the transaction
    return pipeline.exec()
  },
  'a pipeline that the caller makes': (redis, [name, ...args]) =>
    new (Pipeline as unknown as new (redis: Redis) => ReturnType<Redis['pipeline']>)(redis)
      .get('key')
      .call(name, ...args)
      .exec()
      .then((results) => Promise.reject(results?.[0]?.[0])),
}

const topologies = {
  'one server': async () => {
    const server = await startRedis()
    return { url: server.url, port: server.port, stop: () => server.stop() }
  },
  'a Cluster': async () => {
    const cluster = await startCluster()
    return { url: cluster.url, port: cluster.nodes[0]?.port as number, stop: () => cluster.stop() }
  },
}

describe.each(Object.keys(topologies) as (keyof typeof topologies)[])('%s', (name) => {
  let servers: Awaited<ReturnType<(typeof topologies)['one server']>>
  const connected: Redis[] = []
  beforeAll(async () => {
    servers = await topologies[name]()
  })
  afterAll(async () => {
    await Promise.all(connected.map(closeRedis))
    await servers.stop()
  })
  async function connect(options?: Partial<RedisOptions>): Promise<Redis> {
    const redis = connectRedis(servers.url, { name: 'test', commandTimeoutMs: 2000, ...options })
    connected.push(redis)
    await whenReady(redis, 10_000)
    return redis
  }

  test.each(Object.keys(doors))('refuses what changes, blocks or stops through: %s', async (door) => {
    const redis = await connect()
    await redis.set('key', 'value')
    for (const call of [...CHANGING, ...BLOCKING, ...STOPPING]) {
      if (call[0] === 'MULTI' && door.startsWith('transaction')) continue // calls can not be nested
      if (INSIDE_BATCHES.has(call[0]) && /^(?:pipeline|transaction)/.test(door)) continue
      for (const casing of casings) {
        const outcome = (doors[door] as Door)(redis, recased(call, casing))
        await expect(outcome, call.join(' ')).rejects.toBeInstanceOf(TypeError)
      }
    }
    expect(await redis.get('key')).toBe('value')
    expect(await redis.pipeline().get('key').exec()).toEqual([[null, 'value']])
    expect(pendingOn(redis).count).toBe(0)
  })

  test('a pipeline that was refused has executed nothing', async () => {
    const redis = await connect()
    await redis.del('counter')
    await expect(redis.pipeline().incr('counter').blpop('key', 5).exec()).rejects.toBeInstanceOf(TypeError)
    await expect(
      redis
        .multi([
          ['incr', 'counter'],
          ['select', '1'],
        ])
        .exec(),
    ).rejects.toBeInstanceOf(TypeError)
    expect(await redis.get('counter')).toBeNull()
    expect(await redis.multi([['incr', 'counter']]).exec()).toEqual([[null, 1]])
  })

  test('the callback of a refused pipeline gets the refusal, and its promise may be ignored', async () => {
    const redis = await connect()
    for (const batch of [redis.pipeline().blpop('key', 5), redis.multi().select(1)]) {
      const told = Promise.withResolvers<unknown>()
      void batch.exec((error) => told.resolve(error))
      expect(await told.promise).toBeInstanceOf(TypeError)
    }
    const told = Promise.withResolvers<unknown>()
    void redis
      .pipeline()
      .get('key')
      .exec((error, results) => told.resolve([error, results]))
    expect(await told.promise).toEqual([null, [[null, expect.anything()]]])
  })

  test('a blocking connection blocks, and no more than that', async () => {
    const redis = await connect({ role: 'blocking', blockMs: 500 })
    expect(await redis.blpop('list', 0.01)).toBeNull()
    expect(await redis.pipeline().blpop('list', 0.01).exec()).toEqual([[null, null]])
    for (const call of [...CHANGING, ...STOPPING]) {
      await expect((doors.call as Door)(redis, call), call.join(' ')).rejects.toBeInstanceOf(TypeError)
    }
  })

  test('refuses a HELLO, AUTH or CLIENT of a caller while the connection is set up', async () => {
    const redis = connectRedis(servers.url, { name: 'test', commandTimeoutMs: 2000 })
    connected.push(redis)
    const outcomes: Promise<unknown>[] = []
    redis.on('connect', () => {
      for (const call of [
        ['hello', 2],
        ['client', 'REPLY', 'OFF'],
        ['auth', 'x', 'y'],
      ] as Call[]) {
        outcomes.push((doors.call as Door)(redis, call).catch((error) => error))
      }
    })
    await whenReady(redis, 10_000)
    expect(await redis.echo('here')).toBe('here')
    expect(outcomes.length).toBeGreaterThan(0)
    for (const outcome of outcomes) expect(await outcome).toBeInstanceOf(TypeError)
  })

  test('a connection that stays out of the way is one that can be closed only by its owner', async () => {
    const redis = await connect()
    await expect(redis.quit()).rejects.toBeInstanceOf(TypeError)
    expect(await redis.echo('here')).toBe('here')
  })

  if (name !== 'a Cluster') return

  test('refuses the same at a node itself, through each door', async () => {
    const redis = (await connect()) as Cluster
    await redis.set('key', 'value')
    const node = redis.nodes('master')[0] as Server
    expect(await node.echo('here')).toBe('here')
    for (const call of [...BLOCKING, ...STOPPING, ['CLIENT', 'REPLY', 'OFF'], ['SELECT', 1], ['QUIT']] as Call[]) {
      await expect((doors.call as Door)(node, call), call.join(' ')).rejects.toBeInstanceOf(TypeError)
    }
    const results = await node.pipeline().blpop('key', 5).exec()
    expect(results?.[0]?.[0]).toBeInstanceOf(TypeError)
    expect(await node.echo('here')).toBe('here')
  })
})

test.each(HARMLESS)('lets pass: %s %s %s', (...call) => {
  const [name, ...args] = call.filter((part) => part !== undefined) as Call
  expect(harmOf(new Command(name, args))).toBeUndefined()
})

/** Of the categories that have to do with connections and waiting, what is harmless; everything else has to be refused. */
const HARMLESS_OF_THESE = new Set([
  ...['ping', 'echo', 'command', 'command|count', 'command|docs', 'command|getkeys', 'command|getkeysandflags'],
  ...['command|info', 'command|list', 'command|help'],
  ...[
    'client|getname',
    'client|getredir',
    'client|help',
    'client|id',
    'client|info',
    'client|list',
    'client|trackinginfo',
  ],
  ...['publish', 'spublish', 'pubsub', 'pubsub|channels', 'pubsub|numpat', 'pubsub|numsub', 'pubsub|shardchannels'],
  ...['pubsub|shardnumsub', 'pubsub|help', 'xread', 'xreadgroup'],
])

test('the list is complete: every command of this server that has to do with connections, waiting, pub/sub or MULTI is decided', async () => {
  const server = await startRedis()
  const direct = new Server(server.port)
  try {
    const lists = await Promise.all(
      ['connection', 'blocking', 'pubsub', 'transaction'].map((category) =>
        direct.call('COMMAND', 'LIST', 'FILTERBY', 'ACLCAT', category),
      ),
    )
    const names = new Set(lists.flat() as string[])
    expect(names.size).toBeGreaterThan(40)
    const undecided = [...names].filter((full) => {
      const [name = '', subcommand] = full.split('|')
      return harmOf(new Command(name, subcommand ? [subcommand] : [])) === undefined && !HARMLESS_OF_THESE.has(full)
    })
    expect(undecided.filter((full) => full !== 'client')).toEqual([])
  } finally {
    direct.disconnect()
    await server.stop()
  }
})
