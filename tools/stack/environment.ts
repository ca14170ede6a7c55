/** What each service is told through its environment, and nothing more than it needs. */
import type { Databases } from './databases.ts'
import type { Secrets } from './secrets.ts'

export function environments(port: number, secrets: Secrets, { urls, redisUrl }: Databases) {
  const state = (name: string) => ({ REDIS_STATE_URL: redisUrl('state', name) })
  const cache = (name: string) => ({ REDIS_CACHE_URL: redisUrl('cache', name) })
  const verify = { IDENTITY_PUBLIC_KEY: secrets.identityPublicKey }
  return {
    catalog: { ...state('catalog'), ...cache('catalog'), ...verify, DATABASE_URL: urls.catalog },
    user: { ...state('user'), ...verify, DATABASE_URL: urls.user },
    order: { ...state('order'), ...verify, DATABASE_URL: urls.order },
    gateway: {
      ...state('gateway'),
      ...cache('gateway'),
      IDENTITY_PRIVATE_KEY: secrets.identityPrivateKey,
      PORT: String(port),
    },
  }
}
