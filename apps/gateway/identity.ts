/** From what a request carries to who asks. */
import { sessionCookieName } from '@shop/contracts/cookies'
import type { Identity, Role } from '@shop/contracts/identity'
import { isRedisOutage } from '@shop/redis-kit/errors'
import type { SessionReader } from '@shop/redis-kit/session'
import { type CookieRequest, readCookie } from '@shop/service-kit/identity/session-cookie'
import type { FastifyRequest } from 'fastify'
import { type ApiKeyReader, bearerToken, type CallerKey, requireScope } from './api-key.ts'
import { errors } from './errors.ts'
import type { Access } from './routes.ts'

/** Who asks: the identity that the services see and, for a partner, the API key that decides about routes and quota. */
export interface Caller {
  identity: Identity
  apiKey?: CallerKey
}

const guest: Identity = { role: 'guest' }

type Asking = CookieRequest & Pick<FastifyRequest, 'log'>

interface Dependencies {
  sessions: SessionReader
  apiKeys: ApiKeyReader
}

/**
 * The partner whose key the request brings; else the user whose session its cookie names; else a guest.
 *
 * A key is a claim that is checked on every route, public ones too, and the cookie beside it is not looked at. Throws 401, 403 or 503,
 * see api-key.ts. To the services a partner is a guest: a key allows routes and brings a quota, and no rights over data.
 *
 * No cookie, or one that opens nothing: a guest, and no question to Redis for what cannot be an id. Sessions out of reach: as the route
 * says, and never "signed out", so the cookie stays as it is. A page that is the same for all answers whatever the reason is, a missing
 * right included.
 */
export function createIdentify({ sessions, apiKeys }: Dependencies) {
  return async function identify(request: Asking, access: Access): Promise<Caller> {
    const token = bearerToken(request.headers.authorization)
    if (token === undefined) return { identity: await identityOfCookie(request, access.withoutSessions) }
    const apiKey = await apiKeys.read(token)
    requireScope(apiKey, access.scope)
    return { identity: guest, apiKey }
  }

  async function identityOfCookie(request: Asking, withoutSessions: Access['withoutSessions']): Promise<Identity> {
    const id = readCookie(sessionCookieName, request)
    if (id === undefined) return guest
    try {
      const session = await sessions.load(id)
      if (!session) return guest
      return { role: roleOf(session.fields.role), userId: session.userId, session: session.handle }
    } catch (error) {
      const isOutage = isRedisOutage(error)
      if (!isOutage && withoutSessions === 'guest') request.log.error({ err: error }, 'session not loaded')
      if (withoutSessions === 'guest') return guest
      if (!isOutage) throw error
      throw errors.sessionsUnavailable({ cause: error, retryAfterMs: 1_000 })
    }
  }
}

export type Identify = ReturnType<typeof createIdentify>

function roleOf(field: string | undefined): Role {
  return field === 'admin' ? 'admin' : 'customer'
}
