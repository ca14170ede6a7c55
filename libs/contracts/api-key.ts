/** The API keys of partners. Administrators issue, list, rotate and revoke them; a partner sends one as `Authorization: Bearer`. */
import { type Static, Type } from 'typebox'

/**
 * The rights of a key. All are public reads: a key adds a quota of its own, and no rights over data. The routes of a scope are those
 * with that `scope` in apps/gateway/routes.ts; a route without a scope refuses every key.
 */
export const ApiKeyScope = Type.Union([Type.Literal('products:read'), Type.Literal('categories:read')])
export type ApiKeyScope = Static<typeof ApiKeyScope>

export const apiKeyScopes: readonly ApiKeyScope[] = ApiKeyScope.anyOf.map(({ const: scope }) => scope)

/** Names the key: the public part of its token. It stays when the key is rotated. */
export const ApiKeyId = Type.String({
  pattern: '^[0-9A-Za-z]{8}$',
  description: 'Names an API key; not a secret',
  examples: ['k7Tq3ZpA'],
})

const scopes = Type.Array(ApiKeyScope, { minItems: 1, maxItems: apiKeyScopes.length, uniqueItems: true })
const Time = Type.String({ format: 'date-time' })

/** The largest quota of a key. */
export const maxApiKeyQuota = { perMinute: 60_000, perDay: 10_000_000 }

export const ApiKeyQuota = Type.Object(
  {
    perMinute: Type.Integer({ minimum: 1, maximum: maxApiKeyQuota.perMinute }),
    perDay: Type.Integer({ minimum: 1, maximum: maxApiKeyQuota.perDay }),
  },
  { additionalProperties: false, description: 'Requests that the key may send' },
)
export type ApiKeyQuota = Static<typeof ApiKeyQuota>

export const NewApiKey = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S', description: 'Who uses the key, and for what' }),
    scopes,
    quota: ApiKeyQuota,
    expiresAt: Type.Optional(Time),
  },
  {
    additionalProperties: false,
    description: 'A new API key',
    examples: [
      {
        name: 'Price comparison of a partner',
        scopes: ['products:read', 'categories:read'],
        quota: { perMinute: 60, perDay: 20_000 },
      },
    ],
  },
)
export type NewApiKey = Static<typeof NewApiKey>

export const ApiKey = Type.Object(
  {
    id: ApiKeyId,
    name: Type.String(),
    /** The token begins with it. */
    prefix: Type.String(),
    scopes: Type.Array(ApiKeyScope),
    quota: ApiKeyQuota,
    createdAt: Time,
    /** The user who issued it. */
    createdBy: Type.String({ format: 'uuid' }),
    /** When it got its present token. Absent when it still has its first. */
    rotatedAt: Type.Optional(Time),
    revokedAt: Type.Optional(Time),
    expiresAt: Type.Optional(Time),
    /** Whether the gateways act on this state. False for a moment while Redis does not answer; it becomes true by itself. */
    inForce: Type.Boolean(),
  },
  { description: 'The API key, without its token' },
)
export type ApiKey = Static<typeof ApiKey>

export const IssuedApiKey = Type.Object(
  {
    apiKey: ApiKey,
    token: Type.String({ description: 'Shown in this answer only: the shop keeps a hash of it' }),
  },
  { description: 'The API key with its token, which is shown once' },
)
export type IssuedApiKey = Static<typeof IssuedApiKey>

export const ApiKeyQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    cursor: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
)
export type ApiKeyQuery = Static<typeof ApiKeyQuery>

export const ApiKeyPage = Type.Object(
  {
    items: Type.Array(ApiKey),
    /** Pass it as `cursor` for the next page; null on the last one. */
    nextCursor: Type.Union([Type.String(), Type.Null()]),
  },
  { description: 'A page of API keys, newest first; revoked and expired ones too' },
)
export type ApiKeyPage = Static<typeof ApiKeyPage>
