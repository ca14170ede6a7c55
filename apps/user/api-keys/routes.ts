/** Issue, list, rotate and revoke the API keys of partners: for administrators. */
import { ApiKey, ApiKeyId, ApiKeyPage, ApiKeyQuery, IssuedApiKey, NewApiKey } from '@shop/contracts/api-key'
import { cursorErrors } from '@shop/service-kit/http/cursor'
import { noBody } from '@shop/service-kit/http/openapi'
import type { Server } from '@shop/service-kit/http/server'
import { identityErrors, requireAdmin } from '@shop/service-kit/identity'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import type { ApiKeys } from './api-keys.ts'

const ApiKeyParams = Type.Object({ id: ApiKeyId }, { additionalProperties: false })
const adminOnly = { onRequest: async (request: Parameters<typeof requireAdmin>[0]) => void requireAdmin(request) }
/** Tokens, and names of partners, are kept by no cache. */
const unkept = { 'cache-control': 'no-store' }
const refusals = [identityErrors.signInRequired, identityErrors.adminOnly]
const refusedIssues = [errors.tooManyApiKeys, errors.apiKeyExpired, errors.expiryTooLate, errors.quotaContradictory]
const revoked = {
  202: { ...ApiKey, description: 'Revoked; the gateways follow as soon as Redis answers' },
  204: noBody('Revoked: no gateway accepts it'),
}

export function apiKeyRoutes(server: Server, apiKeys: ApiKeys) {
  server.post(
    '/api/api-keys',
    {
      ...adminOnly,
      schema: { summary: 'Issue an API key', body: NewApiKey, response: { 201: IssuedApiKey } },
      config: { refusals: [...refusals, ...refusedIssues] },
    },
    async (request, reply) =>
      reply
        .code(201)
        .headers(unkept)
        .send(await apiKeys.issue(request.body, requireAdmin(request).userId)),
  )

  server.get(
    '/api/api-keys',
    {
      ...adminOnly,
      schema: { summary: 'List the API keys', querystring: ApiKeyQuery, response: { 200: ApiKeyPage } },
      config: { refusals: [...refusals, cursorErrors.cursorInvalid] },
    },
    async (request, reply) => reply.headers(unkept).send(await apiKeys.page(request.query)),
  )

  server.post(
    '/api/api-keys/:id/rotate',
    {
      ...adminOnly,
      schema: { summary: 'Replace the token of an API key', params: ApiKeyParams, response: { 200: IssuedApiKey } },
      config: { refusals: [...refusals, errors.apiKeyNotFound, errors.apiKeyEnded] },
    },
    async (request, reply) =>
      reply.headers(unkept).send(await apiKeys.rotate(request.params.id, requireAdmin(request).userId)),
  )

  server.delete(
    '/api/api-keys/:id',
    {
      ...adminOnly,
      schema: { summary: 'Revoke an API key', params: ApiKeyParams, response: revoked },
      config: { refusals: [...refusals, errors.apiKeyNotFound] },
    },
    async (request, reply) => {
      const apiKey = await apiKeys.revoke(request.params.id, requireAdmin(request).userId)
      return apiKey.inForce ? reply.code(204).send() : reply.code(202).headers(unkept).send(apiKey)
    },
  )
}
