/** Every key and channel of the user service. */
import { distinctFamilies } from '@shop/redis-kit/keys'
import { rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { sessionKeys } from '@shop/redis-kit/session'
import { apiKeyKeys } from '@shop/service-kit/identity/api-key-keys'

export const keys = {
  /** The gateway loads sessions, which puts off their idle deadline. */
  sessions: sessionKeys('user', { sharedWith: { gateway: 'write' } }),
  signIns: rateLimitKeys('user', 'sign-in', 'state'),
  /** Read by the gateway for each request with a key. */
  apiKeys: apiKeyKeys,
}

export const keyFamilies = distinctFamilies(Object.values(keys).flatMap((families) => Object.values(families)))
