/** The limits in the console: seen and changed by administrators, answered by the gateway itself. */
import { LimitInForce, LimitOverride, LimitOverview, LimitParams, LimitRevisionQuery } from '@shop/contracts/limits'
import type { ErrorMaker } from '@shop/service-kit/http/errors'
import { readJsonOnly } from '@shop/service-kit/http/json-body'
import { noBody } from '@shop/service-kit/http/openapi'
import type { Server } from '@shop/service-kit/http/server'
import { identityErrors, requireAdmin } from '@shop/service-kit/identity'
import type { FastifyRequest } from 'fastify'
import type { CallerOf } from '../caller.ts'
import { errors } from '../errors.ts'
import { limitsPath } from '../routes.ts'
import type { Limits } from './limits.ts'

export function limitRoutes(server: Server, limits: Limits, callerOf: CallerOf) {
  const admin = (...own: ErrorMaker[]) => ({
    onRequest: async (request: FastifyRequest) => {
      request.identity = (await callerOf(request)).identity
      requireAdmin(request)
    },
    config: {
      limits: 'admin',
      access: { withoutSessions: 'refuse' },
      refusals: [identityErrors.signInRequired, identityErrors.adminOnly, ...own],
    } as const,
  })
  const changing = (request: FastifyRequest, policy: string, revision: string) => {
    return { policy, revision, by: requireAdmin(request).userId }
  }

  // In a scope of its own: elsewhere the gateway passes bodies on as they come, and here it reads them.
  server.register(async (scope) => {
    readJsonOnly(scope)

    scope.get(
      limitsPath,
      { ...admin(), schema: { summary: 'Show the limits in force', response: { 200: LimitOverview } } },
      (_request, reply) => {
        reply.header('cache-control', 'no-store')
        return limits.overview()
      },
    )

    scope.put<{ Params: LimitParams; Body: LimitOverride }>(
      `${limitsPath}/:policy`,
      {
        ...admin(errors.policyNotFound, errors.policyContradictory, errors.policyChanged),
        schema: {
          summary: 'Change the numbers of a limit',
          params: LimitParams,
          body: LimitOverride,
          response: { 200: LimitInForce },
        },
      },
      (request) => {
        const { params, body } = request
        return limits.change(changing(request, params.policy, body.revision), body)
      },
    )

    scope.delete<{ Params: LimitParams; Querystring: LimitRevisionQuery }>(
      `${limitsPath}/:policy`,
      {
        ...admin(errors.policyNotFound, errors.policyChanged),
        schema: {
          summary: 'Return a limit to the numbers of the file',
          params: LimitParams,
          querystring: LimitRevisionQuery,
          response: { 204: noBody('As in the file') },
        },
      },
      async (request, reply) => {
        const { params, query } = request
        await limits.reset(changing(request, params.policy, query.revision))
        return reply.code(204).send()
      },
    )
  })
}
