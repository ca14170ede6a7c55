/** Register, see and change one's own profile. */
import { ProfilePatch, Registration, User } from '@shop/contracts/user'
import type { Server } from '@shop/service-kit/http/server'
import { identityErrors, requireUser } from '@shop/service-kit/identity'
import { errors } from '../errors.ts'
import type { Accounts } from './accounts.ts'

const own = { refusals: [identityErrors.signInRequired, errors.accountGone] }

export function accountRoutes(server: Server, accounts: Accounts) {
  server.post(
    '/api/users',
    {
      schema: { summary: 'Create an account', body: Registration, response: { 201: User } },
      config: { refusals: [errors.emailTaken] },
    },
    async (request, reply) => reply.code(201).send(await accounts.register(request.body)),
  )

  server.get(
    '/api/users/me',
    { schema: { summary: 'Show your profile', response: { 200: User } }, config: own },
    (request) => accounts.profile(requireUser(request).userId),
  )

  server.patch(
    '/api/users/me',
    { schema: { summary: 'Change your profile', body: ProfilePatch, response: { 200: User } }, config: own },
    (request) => accounts.rename(requireUser(request).userId, request.body.name),
  )
}
