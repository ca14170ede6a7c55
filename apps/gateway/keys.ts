/** Every key and channel of the gateway, and those of the user service that it reads: sessions and API keys. */
import { distinctFamilies } from '@shop/redis-kit/keys'
import { type RateLimitKeys, rateLimitKeys } from '@shop/redis-kit/rate-limit'
import { ALGORITHMS, type Algorithm, MAX_PERIOD_MS } from '@shop/redis-kit/rate-limit/algorithms'
import { sessionKeys } from '@shop/redis-kit/session'
import { apiKeyKeys } from '@shop/service-kit/identity/api-key-keys'
import { overrideKeys } from './limits/overrides/overrides.ts'

type Role = 'cache' | 'state'

export const keys = {
  /** The counters of the policies: one family per role and algorithm, because each algorithm has a type of key. */
  limits: { cache: limitKeys('cache'), state: limitKeys('state') } satisfies Record<Role, unknown>,
  sessions: sessionKeys('user', { sharedWith: { gateway: 'write' } }),
  apiKeys: apiKeyKeys,
}

function limitKeys(role: Role): Record<Algorithm, RateLimitKeys> {
  const ofAlgorithm = (algorithm: Algorithm) => {
    const options = { algorithm, maxPeriodMs: MAX_PERIOD_MS }
    return [algorithm, rateLimitKeys('gateway', `${role}:${algorithm}:<policy>`, role, options)] as const
  }
  return Object.fromEntries(ALGORITHMS.map(ofAlgorithm)) as Record<Algorithm, RateLimitKeys>
}

const counters = Object.values(keys.limits).flatMap((ofRole) => Object.values(ofRole))

export const keyFamilies = distinctFamilies([
  ...counters.flatMap(({ bucket, refund }) => [bucket, refund]),
  ...Object.values(overrideKeys),
])
