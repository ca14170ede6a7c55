/** A user service for tests: a fresh database, a Redis of its own that may be killed or cut off, and the app as it is in production. */

import type { Identity } from '@shop/contracts/identity'
import type { Server } from '@shop/service-kit/http/server'
import { createIdentityMinter, generateIdentityKeys } from '@shop/service-kit/identity'
import { loadConfig } from '@shop/service-kit/process/config'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { createLog } from '@shop/service-kit/telemetry/log'
import { createMetrics } from '@shop/service-kit/telemetry/metrics'
import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'

interface Ask {
  as?: Identity
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  headers?: Record<string, string>
  body?: object
}

export async function startUser(env: Record<string, string> = {}, databaseSettings: Record<string, string> = {}) {
  const [database, redis] = await Promise.all([testDatabase('user', databaseSettings), startRedisWithUsers('state')])
  const link = await startFaultProxy(redis)
  const identity = generateIdentityKeys()
  const mint = createIdentityMinter(identity.IDENTITY_PRIVATE_KEY)
  const config = loadConfig(configSchema, {
    DATABASE_URL: database.url,
    REDIS_STATE_URL: link.via(redis.urlAs('user')),
    IDENTITY_PUBLIC_KEY: identity.IDENTITY_PUBLIC_KEY,
    ...env,
  })
  const own = { service: 'user', instanceId: 'user-test' }
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const metrics = createMetrics(own)
  const app = await buildApp(config, {
    name: 'user',
    instanceId: 'user-test',
    log: createLog({ ...own, destination }),
    metrics,
    stopping: new AbortController().signal,
  })
  const server = app.server as unknown as Server
  return { redis, link, database, lines, metrics, ask, stop }

  function ask(url: string, { as = { role: 'guest' }, method = 'GET', headers = {}, body }: Ask = {}) {
    const options = { url, method, headers: { 'x-shop-identity': mint(as), ...headers } }
    return server.inject(body ? { ...options, body } : options)
  }

  async function stop() {
    await server.close()
    await app.close()
    await link.stop()
    await redis.stop()
  }
}
