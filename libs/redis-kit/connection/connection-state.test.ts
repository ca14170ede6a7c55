/** What is told of a connection: each change once, with the server's own reason. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { findRedisServer, type RedisServer, startCluster, startRedis } from '@shop/test-kit/redis-server'
import { Cluster, Redis as Server } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  type ConnectionChange,
  closeRedis,
  connectRedis,
  connectSubscriber,
  type Redis,
  type RedisOptions,
} from './connection.ts'
import { watchConnection } from './connection-state.ts'
import { greet, startWireServer } from './wire-server.fixture.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 20_000
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not within 20 s: ${condition}`)
    await sleep(20)
  }
}
type Kind = 'command' | 'blocking' | 'subscriber'
const KINDS: Kind[] = ['command', 'blocking', 'subscriber']

/** Connects, and collects what is told. */
function watch(url: string, kind: Kind = 'command', options: Partial<RedisOptions> = {}) {
  const changes: ConnectionChange[] = []
  const watching = {
    name: `test-${kind}`,
    onStateChange: (change: ConnectionChange) => changes.push(change),
    ...options,
  }
  if (kind === 'subscriber') {
    const subscriber = connectSubscriber(url, watching)
    cleanups.push(() => subscriber.close())
    return { changes, redis: undefined as unknown as Redis }
  }
  const redis = connectRedis(url, { ...watching, role: kind, commandTimeoutMs: 300 })
  cleanups.push(() => closeRedis(redis))
  return { changes, redis }
}
const statesOf = (changes: ConnectionChange[]) => changes.map(({ state }) => state)

test.each(KINDS)(
  'a server that comes, goes and comes back is four changes to a connection of kind %s',
  async (kind) => {
    const server = await startRedis()
    cleanups.push(() => server.stop())
    const proxy = await startFaultProxy({ port: server.port })
    cleanups.push(() => proxy.stop())
    await proxy.refuse()
    const { changes } = watch(proxy.url, kind)
    await until(() => changes.length === 1)
    await sleep(1000) // several attempts
    await proxy.heal()
    await until(() => changes.length === 2)
    await proxy.refuse()
    await until(() => changes.length === 3)
    await sleep(1000)
    await proxy.heal()
    await until(() => changes.length === 4)
    expect(statesOf(changes)).toEqual(['failing', 'connected', 'lost', 'restored'])
    expect(changes[0]).toMatchObject({
      name: `test-${kind}`,
      code: 'UNREACHABLE',
      reason: expect.stringContaining('ECONNREFUSED'),
    })
    expect(changes[2]).toMatchObject({ reason: expect.any(String), afterMs: expect.any(Number) })
  },
)

test('a server that drops each connection again is lost once, and not restored', async () => {
  const server = await startWireServer((args) => greet(args))
  const { changes } = watch(`redis://127.0.0.1:${server.port}`)
  await until(() => changes.length === 1)
  let dropped = 0
  server.answer((args, { socket }) => {
    if (args[0] === 'info') {
      dropped += 1
      setTimeout(() => socket.destroy(), 20)
    }
    return greet(args)
  })
  server.drop()
  await until(() => dropped > 5)
  expect(statesOf(changes)).toEqual(['connected', 'lost'])
  server.answer((args) => greet(args))
  await until(() => changes.length === 3)
  expect(changes[2]).toMatchObject({ state: 'restored' })
})

test('a demotion that costs the connection is the reason for it', async () => {
  const server = await startRedis()
  cleanups.push(() => server.stop())
  const direct = new Server(server.port)
  cleanups.push(() => direct.disconnect())
  const { changes, redis } = watch(server.url)
  await redis.set('key', '1')
  await direct.replicaof('127.0.0.1', 1)
  await redis.set('key', '1').catch(() => {})
  await until(() => changes.length === 2)
  expect(changes[1]).toMatchObject({ state: 'lost', code: 'READONLY' })
})

test('closing is no loss', async () => {
  const server = await startRedis()
  cleanups.push(() => server.stop())
  const { changes, redis } = watch(server.url)
  await redis.ping()
  await closeRedis(redis)
  await sleep(50)
  expect(statesOf(changes)).toEqual(['connected'])
})

test('of the addresses that a Cluster had, the last hundred are remembered', () => {
  const changes: ConnectionChange[] = []
  const cluster = new Cluster([1], { lazyConnect: true })
  const watch = watchConnection(cluster, {
    name: 'test',
    isTls: false,
    onStateChange: (change) => changes.push(change),
  })
  cleanups.push(() => watch.stop())
  function join(port: number): void {
    const node = new Server({ port, lazyConnect: true })
    cluster.emit('+node', node)
    node.emit('ready')
  }
  const countOf = (port: number) => changes.filter(({ node }) => node?.endsWith(`:${port}`)).length
  for (let port = 1; port <= 100; port += 1) join(port)
  join(1)
  expect([countOf(1), countOf(2)]).toEqual([1, 1])
  join(101)
  join(2)
  expect([countOf(1), countOf(2)]).toEqual([1, 2])
})

test('on a Cluster each node has its own changes', async () => {
  const cluster = await startCluster()
  cleanups.push(() => cluster.stop())
  const proxies = await Promise.all(cluster.nodes.map(({ port }) => startFaultProxy({ port })))
  for (const proxy of proxies) cleanups.push(() => proxy.stop())
  const pairs = cluster.nodes.map(({ port }, i) => `127.0.0.1:${port}=127.0.0.1:${proxies[i]?.port}`)
  const hosts = proxies.map(({ port }) => `127.0.0.1:${port}`)
  // The addresses that the nodes announce are replaced by the URL alone.
  const { changes, redis } = watch(`redis+cluster://${hosts.join(',')}?nat=${pairs.join(',')}`)
  const read = () => Promise.all(Array.from({ length: 60 }, (_, i) => redis.get(`key:${i}`).catch(() => {})))
  await until(async () => {
    await read()
    return changes.filter(({ state }) => state === 'connected').length === 4
  })
  expect(changes.map(({ node }) => node ?? 'all').sort()).toEqual(['all', ...hosts].sort())
  await proxies[0]?.refuse()
  await until(async () => {
    await read()
    return changes.length === 5
  })
  await sleep(12_000) // longer than ioredis keeps a node that refuses
  await read()
  expect(changes.slice(4)).toMatchObject([{ state: 'lost', node: hosts[0] }])
  await proxies[0]?.heal()
  await until(async () => {
    await read()
    return changes.length === 6
  })
  expect(changes[5]).toMatchObject({ state: 'restored', node: hosts[0] })
}, 60_000)

describe('a mistake in the configuration is told once, with the reason', () => {
  let folder: string
  let ca: Buffer
  let server: RedisServer
  let tlsPort: number
  let sentinelPort: number
  const stops: (() => unknown)[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shop-mistakes-'))
    const key = join(folder, 'key.pem')
    const cert = join(folder, 'cert.pem')
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
    const shape = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
    execFileSync('openssl', ['req', '-x509', ...shape, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    ca = await readFile(cert)
    const spare = await Promise.all([startFaultProxy({ port: 1 }), startFaultProxy({ port: 1 })]) // for their free ports
    for (const proxy of spare) await proxy.stop()
    ;[tlsPort, sentinelPort] = spare.map(({ port }) => port) as [number, number]
    server = await startRedis({
      password: 'right',
      config: {
        'tls-port': String(tlsPort),
        'tls-cert-file': cert,
        'tls-key-file': key,
        'tls-ca-cert-file': cert,
        'tls-auth-clients': 'no',
      },
    })
    stops.push(() => server.stop())
    const file = join(folder, 'sentinel.conf')
    await writeFile(
      file,
      `port ${sentinelPort}\nbind 127.0.0.1\ndir ${folder}\nsentinel monitor main 127.0.0.1 ${server.port} 1\n`,
    )
    const sentinel = spawn(findRedisServer() as string, [file, '--sentinel'], { stdio: 'ignore' })
    stops.push(() => sentinel.kill('SIGKILL'))
    const direct = new Server(sentinelPort, { retryStrategy: () => 50 })
    direct.on('error', () => {})
    await until(async () => (await direct.ping().catch(() => '')) === 'PONG')
    direct.disconnect()
  })
  afterAll(async () => {
    for (const stop of stops) await stop()
    await rm(folder, { recursive: true })
  })

  const mistakes: Record<string, { url: () => string; code: string; words: string; tls?: () => RedisOptions['tls'] }> =
    {
      'a wrong password': {
        url: () => `redis://:hunter2@127.0.0.1:${server.port}`,
        code: 'WRONGPASS',
        words: 'invalid username-password pair',
      },
      'an unknown user': {
        url: () => `redis://somebody:hunter2@127.0.0.1:${server.port}`,
        code: 'WRONGPASS',
        words: 'invalid username-password pair',
      },
      'no password': { url: () => `redis://127.0.0.1:${server.port}`, code: 'NOAUTH', words: 'NOAUTH' },
      'an authority that is not known': {
        url: () => `rediss://:right@127.0.0.1:${tlsPort}`,
        code: 'CERTIFICATE',
        words: 'self-signed',
      },
      'TLS to a plain port': {
        url: () => `rediss://:right@127.0.0.1:${server.port}`,
        code: 'NO_TLS',
        words: 'no TLS handshake',
      },
      'plain to a TLS port': { url: () => `redis://:right@127.0.0.1:${tlsPort}`, code: 'TLS_EXPECTED', words: '' },
      'nothing there': { url: () => 'redis://127.0.0.1:1', code: 'UNREACHABLE', words: 'ECONNREFUSED' },
      'a host without an address': {
        url: () => 'redis://nowhere.invalid',
        code: 'UNKNOWN_HOST',
        words: 'nowhere.invalid',
      },
      'a Sentinel that is not there': {
        url: () => 'redis+sentinel://127.0.0.1:1/main',
        code: 'UNREACHABLE',
        words: 'ECONNREFUSED',
      },
      'a master that the Sentinel does not know': {
        url: () => `redis+sentinel://127.0.0.1:${sentinelPort}/other`,
        code: 'NO_SUCH_MASTER',
        words: 'No such master',
      },
      'a wrong password behind a Sentinel': {
        url: () => `redis+sentinel://:hunter2@127.0.0.1:${sentinelPort}/main`,
        code: 'WRONGPASS',
        words: 'invalid username-password pair',
      },
      'a server asked as a Sentinel': {
        url: () => `redis+sentinel://127.0.0.1:${server.port}/main`,
        code: 'NOAUTH',
        words: 'NOAUTH',
      },
    }
  const clusterMistakes: typeof mistakes = {
    'one server by a URL for a Cluster': {
      url: () => `redis+cluster://:right@127.0.0.1:${server.port}`,
      code: 'NO_CLUSTER',
      words: 'cluster support disabled',
    },
    'a wrong password of a Cluster': {
      url: () => `redis+cluster://:hunter2@127.0.0.1:${server.port}`,
      code: 'WRONGPASS',
      words: 'invalid username-password pair',
    },
    'an authority of a Cluster that is not known': {
      url: () => `rediss+cluster://:right@127.0.0.1:${tlsPort}`,
      code: 'CERTIFICATE',
      words: 'self-signed',
    },
    'a Cluster that is not there': {
      url: () => 'redis+cluster://127.0.0.1:1',
      code: 'UNREACHABLE',
      words: 'ECONNREFUSED',
    },
    'a Cluster without TLS': {
      url: () => `rediss+cluster://:right@127.0.0.1:${server.port}`,
      code: 'NO_TLS',
      words: 'no TLS handshake',
    },
  }
  const table = KINDS.flatMap((kind) => [
    ...Object.entries(mistakes).map(([name, mistake]) => ({ kind, name, ...mistake })),
    // A subscriber of a Cluster is an ordinary connection to one of its nodes.
    ...(kind === 'subscriber'
      ? []
      : Object.entries(clusterMistakes).map(([name, mistake]) => ({ kind, name, ...mistake }))),
  ])

  test.each(table)('$kind: $name', async ({ kind, url, code, words, tls }) => {
    const { changes, redis } = watch(url(), kind, { tls: tls?.() })
    await until(() => changes.length > 0)
    if (kind === 'command') await redis.get('key').catch(() => {}) // attempts go on
    await sleep(500)
    expect(changes, JSON.stringify(changes)).toHaveLength(1)
    expect(changes[0]).toMatchObject({ state: 'failing', code, reason: expect.stringContaining(words) })
    expect(JSON.stringify(changes)).not.toMatch(/hunter2|right|somebody/)
  })

  test('with the authority, TLS is one change', async () => {
    const { changes } = watch(`rediss://:right@127.0.0.1:${tlsPort}`, 'command', { tls: { ca } })
    await until(() => changes.length > 0)
    expect(statesOf(changes)).toEqual(['connected'])
  })
})
