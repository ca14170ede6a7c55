/** Register, see and change one's own profile. */
import { ProfilePatch, Registration, User } from '@shop/contracts/user'
import { requireUser } from '@shop/service-kit/identity'
import type { Server } from '@shop/service-kit/server'
import type { Accounts } from './accounts.ts'

export function accountRoutes(server: Server, accounts: Accounts) {
  server.post('/api/users', { schema: { body: Registration, response: { 201: User } } }, async (request, reply) =>
    reply.code(201).send(await accounts.register(request.body)),
  )

  server.get('/api/users/me', { schema: { response: { 200: User } } }, (request) =>
    accounts.profile(requireUser(request).userId),
  )

  server.patch('/api/users/me', { schema: { body: ProfilePatch, response: { 200: User } } }, (request) =>
    accounts.rename(requireUser(request).userId, request.body.name),
  )
}
