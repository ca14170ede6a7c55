/** Every key and channel of the user service. */
import { distinctFamilies } from '@shop/redis-kit/keys'
import { rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { sessionKeys } from '@shop/redis-kit/session'

export const keys = {
  /** The gateway loads sessions, which puts off their idle deadline. */
  sessions: sessionKeys('user', { sharedWith: { gateway: 'write' } }),
  signIns: rateLimitKeys('user', 'sign-in', 'state'),
}

export const keyFamilies = distinctFamilies([...Object.values(keys.sessions), ...Object.values(keys.signIns)])
