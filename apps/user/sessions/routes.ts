/** Sign in, sign out, see one's devices, revoke one or all. */
import { Credentials, SessionList, SignedIn } from '@shop/contracts/user'
import type { Sessions } from '@shop/redis-kit/session'
import { noBody } from '@shop/service-kit/http/openapi'
import type { Server } from '@shop/service-kit/http/server'
import { identityErrors, requireUser } from '@shop/service-kit/identity'
import type { SessionCookie } from '@shop/service-kit/identity/session-cookie'
import { Type } from 'typebox'
import { publicUser } from '../accounts/store.ts'
import { errors } from '../errors.ts'
import { deviceOf, sessionInfo } from './device.ts'
import type { SignIn } from './sign-in.ts'

const signedIn = { refusals: [identityErrors.signInRequired] }
const refusals = [errors.credentialsWrong, errors.tooManySignIns, errors.signInUnavailable, errors.sessionsRevoked]
const nothing = { 204: noBody('Ended') }

const SessionParams = Type.Object(
  { id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }) },
  { additionalProperties: false },
)

interface Dependencies {
  signIn: SignIn
  sessions: Sessions
  cookie: SessionCookie
}

export function sessionRoutes(server: Server, { signIn, sessions, cookie }: Dependencies) {
  server.post(
    '/api/sessions',
    { schema: { summary: 'Sign in', body: Credentials, response: { 201: SignedIn } }, config: { refusals } },
    async (request, reply) => {
      const device = deviceOf(request.headers['user-agent'])
      const { account, session } = await signIn.signIn(request.body, device, cookie.read(request))
      return reply
        .code(201)
        .header('set-cookie', cookie.write(session.id, request))
        .send({ user: publicUser(account), session: sessionInfo(session, session.handle) })
    },
  )

  server.get(
    '/api/sessions',
    { schema: { summary: 'List your signed-in devices', response: { 200: SessionList } }, config: signedIn },
    async (request) => {
      const { userId, session: current } = requireUser(request)
      return { items: (await sessions.list(userId)).map((session) => sessionInfo(session, current)) }
    },
  )

  server.delete(
    '/api/sessions/current',
    { schema: { summary: 'Sign out', response: nothing }, config: signedIn },
    async (request, reply) => {
      const { userId, session } = requireUser(request)
      if (session !== undefined) await sessions.destroyByHandle(userId, session)
      return reply.code(204).header('set-cookie', cookie.clear(request)).send()
    },
  )

  server.delete(
    '/api/sessions/:id',
    {
      schema: { summary: 'Sign one device out', params: SessionParams, response: nothing },
      config: { refusals: [...signedIn.refusals, errors.sessionNotFound] },
    },
    async (request, reply) => {
      const found = await sessions.destroyByHandle(requireUser(request).userId, request.params.id)
      if (!found) throw errors.sessionNotFound()
      return reply.code(204).send()
    },
  )

  server.delete(
    '/api/sessions',
    { schema: { summary: 'Sign all devices out', response: nothing }, config: signedIn },
    async (request, reply) => {
      await sessions.revokeAll(requireUser(request).userId)
      return reply.code(204).header('set-cookie', cookie.clear(request)).send()
    },
  )
}
