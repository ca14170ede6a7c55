/** The rules of partners' API keys: a token is shown once, each key has one token at a time, and a revoked key stays revoked. */
import type { ApiKey, ApiKeyPage, ApiKeyQuery, IssuedApiKey, NewApiKey } from '@shop/contracts/api-key'
import { ApiKeyId, apiKeyScopes } from '@shop/contracts/api-key'
import { createCursor } from '@shop/service-kit/http/cursor'
import { apiKeyPrefix, newApiKeyId, newApiKeyToken } from '@shop/service-kit/identity/api-key-token'
import type { Log } from '@shop/service-kit/telemetry/log'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import type { Projection } from './projection.ts'
import type { AddedApiKey, ApiKeyStore, StoredApiKey } from './store.ts'

/** More than a shop has partners; each costs memory in Redis and a line in every rewrite. */
export const maxLiveApiKeys = 1_000
const defaultLimit = 20
/** An id that is taken is drawn again. Two collisions in a row are a fault of the random source. */
const maxIdTries = 3
const endOfTimeMs = Date.UTC(10_000, 0)

const cursor = createCursor(
  Type.Object(
    { createdAtMs: Type.Integer({ minimum: 0, maximum: Date.UTC(9999, 0) }), id: ApiKeyId },
    { additionalProperties: false },
  ),
)

interface Dependencies {
  store: ApiKeyStore
  projection: Pick<Projection, 'arrived'>
  log: Log
}

export type ApiKeys = ReturnType<typeof createApiKeys>

export function createApiKeys({ store, projection, log }: Dependencies) {
  return { issue, page, rotate, revoke }

  async function issue(input: NewApiKey, by: string): Promise<IssuedApiKey> {
    const { quota, expiresAt } = input
    if (quota.perDay < quota.perMinute) throw errors.quotaContradictory()
    const expiry = expiresAt === undefined ? undefined : timeToCome(expiresAt)
    const { row, token } = await add({ ...input, name: input.name.trim(), createdBy: by, expiresAt: expiry })
    log.info({ apiKeyId: row.id, by }, 'API key issued')
    return { apiKey: await announced(row), token }
  }

  async function add(key: Omit<AddedApiKey, 'id' | 'digest'>) {
    for (let tries = 0; tries < maxIdTries; tries += 1) {
      const { id, token, digest } = newApiKeyToken(newApiKeyId())
      const row = await store.add({ ...key, id, digest })
      if (row === 'too-many') throw errors.tooManyApiKeys(maxLiveApiKeys)
      if (row !== 'id-taken') return { row, token }
    }
    throw new Error(`no free id for an API key in ${maxIdTries} tries`)
  }

  async function page({ limit = defaultLimit, cursor: from }: ApiKeyQuery): Promise<ApiKeyPage> {
    const rows = await store.page({ limit, after: from === undefined ? undefined : cursor.decode(from) })
    const shown = rows.slice(0, limit)
    const last = rows.length > limit ? shown.at(-1) : undefined
    const nextCursor = last ? cursor.encode({ createdAtMs: last.createdAt.getTime(), id: last.id }) : null
    return { items: shown.map((row) => publicApiKey(row, isProjected(row))), nextCursor }
  }

  /** A new token; the old one ends at once. Partners that need both for a while get a second key. */
  async function rotate(id: string, by: string): Promise<IssuedApiKey> {
    const { token, digest } = newApiKeyToken(id)
    const row = await store.changeDigest(id, digest)
    if (!row) throw (await store.byId(id)) ? errors.apiKeyEnded() : errors.apiKeyNotFound()
    log.info({ apiKeyId: id, by }, 'API key rotated')
    return { apiKey: await announced(row), token }
  }

  async function revoke(id: string, by: string): Promise<ApiKey> {
    const row = await store.revoke(id)
    if (!row) throw errors.apiKeyNotFound()
    log.info({ apiKeyId: id, by }, 'API key revoked')
    return announced(row)
  }

  async function announced(row: StoredApiKey): Promise<ApiKey> {
    return publicApiKey(row, await projection.arrived(row.id))
  }
}

function timeToCome(text: string): Date {
  const timeMs = Date.parse(text)
  // Not `<=`: a leap second is a time to the schema, and not a number here.
  if (!(timeMs > Date.now())) throw errors.apiKeyExpired()
  // With an offset, the last day of 9999 ends in a year of five digits. No answer can say that, nor a page with such a key in it.
  if (timeMs >= endOfTimeMs) throw errors.expiryTooLate()
  return new Date(timeMs)
}

function isProjected({ version, projectedVersion }: StoredApiKey): boolean {
  return projectedVersion >= version
}

/** The key without its digest, which does not leave the service. A scope that no longer exists allows nothing and is not shown. */
function publicApiKey(row: StoredApiKey, inForce: boolean): ApiKey {
  const { id, name, scopes, perMinute, perDay, createdAt, createdBy, rotatedAt, revokedAt, expiresAt } = row
  return {
    id,
    name,
    prefix: apiKeyPrefix(id),
    scopes: apiKeyScopes.filter((scope) => scopes.includes(scope)),
    quota: { perMinute, perDay },
    createdAt: createdAt.toISOString(),
    createdBy,
    ...(rotatedAt && { rotatedAt: rotatedAt.toISOString() }),
    ...(revokedAt && { revokedAt: revokedAt.toISOString() }),
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
    inForce,
  }
}
