/**
 * API keys as the gateway reads them: a projection in Redis of what the user service keeps in Postgres. The user service writes it, the
 * gateway reads it for every request that brings a key.
 */
import { keyFamily } from '@shop/redis-kit/keys'

/** How long what was written lasts: longer than an outage of the user service that partners should not notice. */
export const apiKeyLifetimeMs = 60 * 60 * 1_000

const common = {
  service: 'user',
  type: 'hash',
  role: 'state',
  ttl: { ms: apiKeyLifetimeMs },
  sharedWith: { gateway: 'read' },
} as const

export const apiKeyKeys = {
  key: keyFamily({
    ...common,
    pattern: 'user:api-key:{<id>}',
    example: ['k7Tq3ZpA'],
    doc: 'an API key as the gateway needs it: digest, scopes and quota; a version alone when it was revoked',
  }),
  projection: keyFamily({
    ...common,
    pattern: 'user:api-key-projection',
    example: [],
    doc: 'the mark that all API keys are here: `complete` is absent after a loss, until all were written again',
  }),
}

/** The fields of a live key. `scopes` are separated by a space. */
export const apiKeyFields = ['digest', 'scopes', 'perMinute', 'perDay'] as const
/** The field of the projection that holds the mark. Without a mark an absent key may be lost. Each rewrite makes a new mark. */
export const completeField = 'complete'
