/** From `Authorization: Bearer` to the partner that sent it, and to the routes that its key may use. */
import { timingSafeEqual } from 'node:crypto'
import { ApiKeyQuota, type ApiKeyScope } from '@shop/contracts/api-key'
import type { Redis } from '@shop/redis-kit/connection'
import { isRedisOutage, isWrongType } from '@shop/redis-kit/errors'
import { createCheck } from '@shop/service-kit/http/validation'
import { apiKeyFields, type apiKeyKeys, completeField } from '@shop/service-kit/identity/api-key-keys'
import { parseApiKeyToken } from '@shop/service-kit/identity/api-key-token'
import { errors } from './errors.ts'

/** Names the key and cannot be used as the key; its quota is requests per minute and per day. */
export interface CallerKey {
  id: string
  scopes: readonly string[]
  perMinute: number
  perDay: number
}

/** The credentials of the scheme Bearer (RFC 6750, 2.1); undefined without the header and for another scheme, which says nothing here. */
export function bearerToken(authorization: string | undefined): string | undefined {
  const [scheme, token = ''] = authorization?.trim().split(/ +(.*)/s) ?? []
  return scheme?.toLowerCase() === 'bearer' ? token : undefined
}

const problemsOfQuota = createCheck(ApiKeyQuota)

export type ApiKeyReader = ReturnType<typeof createApiKeyReader>

/**
 * Asks Redis for each request and keeps no answer: a revoked key ends with the next one. Unknown, revoked, expired and rotated keys are
 * one answer, 401 `api-key-invalid`, after the same work. While it is not known what the keys are, because Redis is unavailable or has
 * lost them, the answer is 503: a partner whose key is valid must not be told to throw it away.
 */
export function createApiKeyReader(redis: Redis, { keys }: { keys: typeof apiKeyKeys }) {
  return { read }

  async function read(token: string): Promise<CallerKey> {
    const parsed = parseApiKeyToken(token)
    if (!parsed) throw errors.apiKeyInvalid()
    const { id, digest } = parsed
    const { fields, isComplete } = await stored(id)
    const [storedDigest, scopes, perMinute, perDay] = fields
    if (isSame(digest, storedDigest) && typeof scopes === 'string') {
      const quota = { perMinute: Number(perMinute), perDay: Number(perDay) }
      // A damaged quota is replaced by the user service at its next rewrite.
      if (problemsOfQuota(quota).length > 0) throw errors.apiKeysUnavailable({ retryAfterMs: 1_000 })
      return { id, scopes: scopes.split(' '), ...quota }
    }
    throw isComplete || storedDigest ? errors.apiKeyInvalid() : errors.apiKeysUnavailable({ retryAfterMs: 1_000 })
  }

  /**
   * Commands that are written together: one round trip on a single server. The mark is read before the key and after it: with the same
   * mark there, nothing was lost in between.
   */
  async function stored(id: string) {
    const mark = keys.projection.key()
    try {
      const [before, fields, after] = await Promise.all([
        redis.hget(mark, completeField),
        redis.hmget(keys.key.key(id), ...apiKeyFields),
        redis.hget(mark, completeField),
      ])
      return { fields, isComplete: before !== null && before === after }
    } catch (error) {
      // A key of another type is replaced by the user service at its next rewrite.
      if (!isRedisOutage(error) && !isWrongType(error)) throw error
      throw errors.apiKeysUnavailable({ cause: error, retryAfterMs: 1_000 })
    }
  }
}

/** A key that is absent is compared too. */
function isSame(digest: string, stored: string | null | undefined): boolean {
  const [ours, theirs] = [Buffer.from(digest), Buffer.from(stored ?? '-'.repeat(digest.length))]
  return ours.length === theirs.length && timingSafeEqual(ours, theirs)
}

/** Throws 403 `scope-missing` unless the key may use a route of this scope. A route without a scope is for no key. */
export function requireScope({ scopes }: CallerKey, scope: ApiKeyScope | undefined): void {
  if (scope !== undefined && scopes.includes(scope)) return
  const named = scope === undefined ? '' : `, scope="${scope}"`
  const headers = { 'www-authenticate': `Bearer realm="redis-shop", error="insufficient_scope"${named}` }
  throw errors.scopeMissing({ headers })
}
