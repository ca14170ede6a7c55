/** A user service for tests: a fresh database, a Redis of its own that may be killed, and the app as it is in production. */

import type { Identity } from '@shop/contracts/identity'
import type { Server } from '@shop/service-kit/http/server'
import { createIdentityMinter, generateIdentityKeys } from '@shop/service-kit/identity'
import { loadConfig } from '@shop/service-kit/process/config'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { createLog } from '@shop/service-kit/telemetry/log'
import { createMetrics } from '@shop/service-kit/telemetry/metrics'
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
  const identity = generateIdentityKeys()
  const mint = createIdentityMinter(identity.IDENTITY_PRIVATE_KEY)
  const config = loadConfig(configSchema, {
    DATABASE_URL: database.url,
    REDIS_STATE_URL: redis.urlAs('user'),
    IDENTITY_PUBLIC_KEY: identity.IDENTITY_PUBLIC_KEY,
    ...env,
  })
  const app = await buildApp(config, {
    name: 'user',
    instanceId: 'user-test',
    log: createLog({ service: 'user', instanceId: 'user-test', level: 'silent' }),
    metrics: createMetrics({ service: 'user', instanceId: 'user-test' }),
    stopping: new AbortController().signal,
  })
  const server = app.server as unknown as Server
  return { redis, database, ask, stop }

  function ask(url: string, { as = { role: 'guest' }, method = 'GET', headers = {}, body }: Ask = {}) {
    const options = { url, method, headers: { 'x-shop-identity': mint(as), ...headers } }
    return server.inject(body ? { ...options, body } : options)
  }

  async function stop() {
    await server.close()
    await app.close()
    await redis.stop()
  }
}
