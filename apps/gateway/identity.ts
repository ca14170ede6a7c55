/** From a session cookie to the token that the services believe. */
import { sessionCookieName } from '@shop/contracts/cookies'
import type { Identity, Role } from '@shop/contracts/identity'
import { isRedisOutage } from '@shop/redis-kit/errors'
import type { SessionReader } from '@shop/redis-kit/session'
import { type CookieRequest, readCookie } from '@shop/service-kit/identity/session-cookie'
import type { FastifyRequest } from 'fastify'
import { errors } from './errors.ts'
import type { Route } from './routes.ts'

const guest: Identity = { role: 'guest' }

/**
 * Who the cookie belongs to. No cookie, or one that opens nothing: a guest, and no question to Redis for what cannot be an id.
 * Sessions out of reach: as the route says, and never "signed out", so the cookie stays as it is. A page that is the same for all answers
 * whatever the reason is, a missing right included.
 */
export function createIdentify(sessions: SessionReader) {
  return async function identify(
    request: CookieRequest & Pick<FastifyRequest, 'log'>,
    withoutSessions: Route['withoutSessions'],
  ): Promise<Identity> {
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
