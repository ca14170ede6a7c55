/** Every key and channel of the gateway, and the user service's sessions that it loads. */
import { distinctFamilies } from '@shop/redis-kit/keys'
import { rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { sessionKeys } from '@shop/redis-kit/session'

export const keys = {
  addresses: rateLimitKeys('gateway', 'address', 'cache'),
  sessions: sessionKeys('user', { sharedWith: { gateway: 'write' } }),
}

export const keyFamilies = distinctFamilies(Object.values(keys.addresses))
