/** From what a request carries to who asks. */
import { sessionCookieName } from '@shop/contracts/cookies'
import type { Identity, Role } from '@shop/contracts/identity'
import { isRedisOutage } from '@shop/redis-kit/errors'
import type { SessionReader } from '@shop/redis-kit/session'
import { type CookieRequest, readCookie } from '@shop/service-kit/identity/session-cookie'
import type { FastifyRequest } from 'fastify'
import { errors } from './errors.ts'
import type { Route } from './routes.ts'

/** Who asks: the identity that the services see and, for a partner, the API key that decides about routes and quota. */
export interface Caller {
  identity: Identity
  apiKey?: CallerKey
}

export interface CallerKey {
  /** Names the key and cannot be used as the key. */
  id: string
  scopes: readonly string[]
  /** Requests per minute and per day. */
  perMinute: number
  perDay: number
}

const guest: Caller = { identity: { role: 'guest' } }

/**
 * Who the cookie belongs to. No cookie, or one that opens nothing: a guest, and no question to Redis for what cannot be an id.
 * Sessions out of reach: as the route says, and never "signed out", so the cookie stays as it is. A page that is the same for all answers
 * whatever the reason is, a missing right included.
 */
export function createIdentify(sessions: SessionReader) {
  return async function identify(
    request: CookieRequest & Pick<FastifyRequest, 'log'>,
    withoutSessions: Route['withoutSessions'],
  ): Promise<Caller> {
    const id = readCookie(sessionCookieName, request)
    if (id === undefined) return guest
    try {
      const session = await sessions.load(id)
      if (!session) return guest
      const { userId, handle, fields } = session
      return { identity: { role: roleOf(fields.role), userId, session: handle } }
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
