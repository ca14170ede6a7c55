/**
 * Redis for test files. All files of a run share one server (or Cluster), so each test works in a namespace: a prefix
 * that no other test has. When the test is over its keys are looked at, and one without expiry that the test did not
 * declare fails it: in production it would stay for ever. Then they are deleted, they and no others.
 *
 *     const redis = await testRedis()                        // top of the file
 *     test('…', async () => {
 *       const cache = createCache(redis.connect(), { keys: cacheKeys(redis.namespace(), 'product'), … })
 *     })
 *
 * A test that harms the server (kills it, fills it, SCRIPT FLUSH) starts one of its own: redis-server.ts.
 */
import { randomBytes } from 'node:crypto'
import type { Cluster, Redis, RedisOptions } from 'ioredis'
import { afterAll, onTestFinished } from 'vitest'
import { isInTest, serverUrl } from '../test-servers.ts'
import { openRedis } from './redis-connection.ts'
import { sweepNamespace } from './redis-namespace.ts'

export type Topology = 'standalone' | 'cluster'
type Connection<T extends Topology> = T extends 'cluster' ? Cluster : Redis

export interface TestRedisOptions<T extends Topology> extends NamespaceOptions {
  /** @default standalone */
  topology?: T
}

export interface NamespaceOptions {
  /** Which keys may stay without expiry. @default none */
  allowImmortal?: (key: string) => boolean
}

export interface TestRedis<T extends Topology> {
  /** For redis-kit's connectRedis: redis:// or redis+cluster:// */
  readonly url: string
  /** A plain connection to look behind the scenes with. Closed after the test, or after the file's last one. */
  connect(options?: RedisOptions): Connection<T>
  /**
   * A new prefix (`t1a2b3c4d`), to be used as the service's name in keys. Its keys are checked and deleted after the
   * test, or after the file's last one when it is taken outside of a test.
   */
  namespace(options?: NamespaceOptions): string
}

/** To be called at the top of a file or `describe`. */
export async function testRedis<T extends Topology = 'standalone'>(
  options: TestRedisOptions<T> = {},
): Promise<TestRedis<T>> {
  const { topology = 'standalone', allowImmortal } = options
  const url = await serverUrl(topology === 'cluster' ? 'cluster' : 'redis')
  const sweeper = openRedis(url)
  const afterFile: (() => Promise<void>)[] = []
  const afterwards = (cleanup: () => Promise<void>) => {
    if (isInTest()) onTestFinished(cleanup)
    else afterFile.push(cleanup)
  }
  afterAll(async () => {
    try {
      for (const cleanup of afterFile.reverse()) await cleanup()
    } finally {
      sweeper.disconnect()
    }
  })

  function connect(connectOptions?: RedisOptions) {
    const connection = openRedis(url, connectOptions)
    afterwards(async () => connection.disconnect())
    return connection as Connection<T>
  }
  function namespace(own: NamespaceOptions = {}) {
    const name = `t${randomBytes(4).toString('hex')}`
    afterwards(async () => {
      const immortal = await sweepNamespace(sweeper, name, own.allowImmortal ?? allowImmortal ?? (() => false))
      if (immortal.length > 0) throw new Error(`keys without expiry: ${immortal.join(', ')} (see allowImmortal)`)
    })
    return name
  }
  return { url, connect, namespace }
}
