/**
 * A user service for tests: a fresh database, a Redis of its own that may be killed, and the app as it is in production, with its loops
 * and in as many instances as the test wants. Each instance reaches Redis through a link that may be cut.
 */

import type { Identity } from '@shop/contracts/identity'
import type { Server } from '@shop/service-kit/http/server'
import { createIdentityMinter, generateIdentityKeys } from '@shop/service-kit/identity'
import { loadConfig } from '@shop/service-kit/process/config'
import { startLoops } from '@shop/service-kit/process/loop'
import { createLoopHealth } from '@shop/service-kit/process/loop-health'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { createLog } from '@shop/service-kit/telemetry/log'
import { createMetrics } from '@shop/service-kit/telemetry/metrics'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'

interface UserOptions {
  /** Settings of the database. @default none */
  databaseSettings?: Record<string, string>
  /** Of the Redis server. @default no persistence */
  redisConfig?: Record<string, string>
}

interface Ask {
  as?: Identity
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  headers?: Record<string, string>
  body?: object
}

export async function startUser(env: Record<string, string> = {}, options: UserOptions = {}) {
  const [database, redis] = await Promise.all([
    testDatabase('user', options.databaseSettings ?? {}),
    startRedisWithUsers('state', options.redisConfig),
  ])
  const identity = generateIdentityKeys()
  const mint = createIdentityMinter(identity.IDENTITY_PRIVATE_KEY)
  const started: (() => Promise<unknown>)[] = []
  return { redis, database, ...(await addInstance('user-test')), addInstance, stop }

  /** Another instance, with the same Postgres and Redis. */
  async function addInstance(instanceId: string) {
    const link = await startFaultProxy(redis)
    const config = loadConfig(configSchema, {
      DATABASE_URL: database.url,
      REDIS_STATE_URL: link.via(redis.urlAs('user')),
      IDENTITY_PUBLIC_KEY: identity.IDENTITY_PUBLIC_KEY,
      ...env,
    })
    const own = { service: 'user', instanceId }
    const lines: Record<string, unknown>[] = []
    const log = createLog({ ...own, destination: { write: (line: string) => void lines.push(JSON.parse(line)) } })
    const metrics = createMetrics(own)
    const { signal } = new AbortController()
    const app = await buildApp(config, { name: 'user', instanceId, log, metrics, stopping: signal })
    const server = app.server as unknown as Server
    const loops = startLoops(app.loops ?? [], log, { watch: createLoopHealth({ health: server.health, metrics }) })
    started.push(async () => {
      await server.close()
      await loops.stop()
      await app.close()
      await link.stop()
    })
    return { link, lines, metrics, ask }

    function ask(url: string, { as = { role: 'guest' }, method = 'GET', headers = {}, body }: Ask = {}) {
      const request = { url, method, headers: { 'x-shop-identity': mint(as), ...headers } }
      return server.inject(body ? { ...request, body } : request)
    }
  }

  async function stop() {
    await Promise.all(started.map((end) => end()))
    await redis.stop()
  }
}
