/** The user service, wired: accounts and API keys in Postgres, sessions and what the gateway needs of the keys in Redis. */
import { sessionCookieName } from '@shop/contracts/cookies'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { createRegistry } from '@shop/redis-kit/discovery'
import { createRateLimit } from '@shop/redis-kit/rate-limit'
import { warmUp } from '@shop/redis-kit/rate-limit/warm-up'
import { createSessions } from '@shop/redis-kit/session'
import { createServer } from '@shop/service-kit/http/server'
import { createSessionCookie } from '@shop/service-kit/identity/session-cookie'
import type { App, Surroundings } from '@shop/service-kit/process'
import { prismaProbe, redisProbe } from '@shop/service-kit/process/health'
import { createPrismaAdapter } from '@shop/service-kit/storage/database'
import { logRedisState, redisTls, warnOfEviction } from '@shop/service-kit/storage/redis'
import { registryKeys } from '@shop/service-kit/storage/registry-keys'
import { watchRateLimits } from '@shop/service-kit/telemetry/rate-limit-metrics'
import { createAccounts } from './accounts/accounts.ts'
import { accountRoutes } from './accounts/routes.ts'
import { createAccountStore } from './accounts/store.ts'
import { createApiKeys, maxLiveApiKeys } from './api-keys/api-keys.ts'
import { createProjection } from './api-keys/projection.ts'
import { apiKeyRoutes } from './api-keys/routes.ts'
import { createApiKeyStore } from './api-keys/store.ts'
import type { Config } from './config.ts'
import { keys } from './keys.ts'
import { PrismaClient } from './prisma/client/client.ts'
import { sessionRoutes } from './sessions/routes.ts'
import { createSignIn } from './sessions/sign-in.ts'

/** Reading one's profile works without Redis; signing in does not. */
export async function buildApp(config: Config, { log, name, instanceId, metrics }: Surroundings): Promise<App> {
  const prisma = new PrismaClient({
    adapter: createPrismaAdapter(config.DATABASE_URL, { name: instanceId, poolMax: config.DATABASE_POOL_MAX }),
  })
  const tls = redisTls(config)
  const onStateChange = logRedisState({ role: 'state', log })
  // Soon after Redis is back, API keys that were revoked meanwhile have to end there.
  const timing = { commandTimeoutMs: 1_000, reconnectMaxMs: 300 }
  const redis = connectRedis(config.REDIS_STATE_URL, { name: instanceId, tls, onStateChange, ...timing })
  warnOfEviction(redis, { role: 'state', log })
  const sessions = createSessions(redis, {
    keys: keys.sessions,
    idleMs: config.SESSION_IDLE_MS,
    absoluteMs: config.SESSION_ABSOLUTE_MS,
  })
  const limits = watchRateLimits({ log, metrics })
  const signIns = createRateLimit(redis, {
    keys: keys.signIns,
    limit: { count: config.SIGN_IN_LIMIT_COUNT, periodMs: config.SIGN_IN_LIMIT_PERIOD_MS },
    burst: config.SIGN_IN_LIMIT_COUNT,
    onUnavailable: 'closed',
    // As long as hashing the password takes. With 50 ms, a machine that was only busy refused sign-ins.
    deadlineMs: 250,
    onDegraded: limits.onDegraded('sign-in'),
  })
  const attempts = limits.watch('sign-in', signIns)
  const cookie = createSessionCookie({ name: sessionCookieName, maxAgeMs: config.SESSION_ABSOLUTE_MS })

  const server = createServer({
    log,
    name,
    metrics,
    identityPublicKey: config.IDENTITY_PUBLIC_KEY,
    probes: [
      prismaProbe(prisma),
      redisProbe('redis-state', redis, { required: true, family: keys.sessions.session }),
      limits.probe,
    ],
  })
  const accounts = createAccounts(createAccountStore(prisma))
  accountRoutes(server, accounts)
  sessionRoutes(server, { signIn: createSignIn({ accounts, sessions, attempts }), sessions, cookie })
  const apiKeyStore = createApiKeyStore(prisma, { maxLiveCount: maxLiveApiKeys })
  const projection = createProjection(redis, { store: apiKeyStore, log })
  apiKeyRoutes(server, createApiKeys({ store: apiKeyStore, projection, log }))
  await warmUp([{ redis, keys: keys.signIns }])

  return {
    server,
    registry: createRegistry(redis, { keys: registryKeys }),
    loops: [{ name: 'api-keys', run: projection.run }],
    close: async () => {
      await Promise.all([prisma.$disconnect(), closeRedis(redis)])
    },
  }
}
