/** What each service is told through its environment, and nothing more than it needs. */
import type { Databases } from './databases.ts'
import type { Secrets } from './secrets.ts'

export function environments(port: number, secrets: Secrets, { urls, redis }: Databases) {
  const state = { REDIS_STATE_URL: redis.stateUrl }
  const cache = { REDIS_CACHE_URL: redis.cacheUrl }
  const verify = { IDENTITY_PUBLIC_KEY: secrets.identityPublicKey }
  const publicUrl = { PUBLIC_URL: `http://localhost:${port}` }
  return {
    catalog: { ...state, ...cache, ...verify, DATABASE_URL: urls.catalog },
    user: { ...state, ...verify, ...publicUrl, DATABASE_URL: urls.user },
    order: { ...state, ...verify, ...publicUrl, DATABASE_URL: urls.order },
    gateway: {
      ...state,
      ...cache,
      ...publicUrl,
      IDENTITY_PRIVATE_KEY: secrets.identityPrivateKey,
      PORT: String(port),
    },
  }
}
