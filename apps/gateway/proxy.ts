/**
 * Passing a request on: to an instance that the registry knows, with the identity the gateway vouches for, and with nothing
 * that a client could claim about itself. Bodies pass through as bytes; what is in them is the service's business.
 */
import { identityHeader } from '@shop/contracts/identity'
import type { ServiceClient, ServiceResponse } from '@shop/service-kit/client'
import type { createIdentityMinter } from '@shop/service-kit/identity'
import type { Server } from '@shop/service-kit/server'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { addressGroup } from './address.ts'
import { errors } from './errors.ts'
import { requestHeaders, responseHeaders } from './headers.ts'
import type { Identify } from './identity.ts'
import { internalPaths, type Route, routes } from './routes.ts'
import type { ForwardStream } from './streaming.ts'

interface Dependencies {
  client: ServiceClient
  forwardStream: ForwardStream
  identify: Identify
  mint: ReturnType<typeof createIdentityMinter>
  checkOrigin: (method: string, origin: string | undefined) => void
  sessionCookieName: string
  timeoutMs: number
}

/** Which of the client's cookies each service gets to see. */
const cookiesOf = (sessionCookieName: string): Record<Route['service'], readonly string[]> => ({
  catalog: [],
  user: [sessionCookieName],
  order: [sessionCookieName.replace('session', 'cart')],
})

/** Methods that may be sent a second time; POST only when the client gave it a key. */
const idempotentMethods = new Set(['GET', 'HEAD', 'PUT', 'DELETE'])

export function forwardRoutes(server: Server, dependencies: Dependencies) {
  passBodiesThrough(server)
  for (const path of internalPaths) {
    server.get(path, () => {
      throw errors.routeNotFound()
    })
  }
  for (const route of routes.filter(({ body }) => body === undefined)) {
    server.route(options(route))
  }
  server.register(async (streaming) => {
    streaming.removeAllContentTypeParsers()
    streaming.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    for (const route of routes.filter(({ body }) => body === 'stream')) {
      streaming.route({ ...options(route), config: { streamsBody: true } })
    }
  })

  function options(route: Route) {
    const handler = (request: FastifyRequest, reply: FastifyReply) => forward(route, request, reply, dependencies)
    return { method: [...route.methods], url: route.path, handler }
  }
}

async function forward(route: Route, request: FastifyRequest, reply: FastifyReply, dependencies: Dependencies) {
  const { client, forwardStream, identify, mint, checkOrigin, sessionCookieName, timeoutMs } = dependencies
  checkOrigin(request.method, request.headers.origin)
  const identity = await identify(request.headers.cookie, route.withoutSessions)
  const outgoing = {
    service: route.service,
    method: request.method,
    path: request.url,
    headers: {
      ...requestHeaders(request.headers, cookiesOf(sessionCookieName)[route.service]),
      [identityHeader]: mint(identity),
      'x-request-id': request.id,
    },
    idempotent: idempotentMethods.has(request.method) || request.headers['idempotency-key'] !== undefined,
  }
  if (route.body === 'stream' || route.answer === 'stream') {
    return forwardStream(route, outgoing, identity.userId ?? addressGroup(request.ip), request, reply)
  }
  const body = request.body as Buffer | undefined
  return send(reply, await client.request({ ...outgoing, body, deadlineMs: timeoutMs, signal: abandoned(reply) }))
}

function send(reply: FastifyReply, response: ServiceResponse) {
  return reply.code(response.status).headers(responseHeaders(response.headers)).send(response.body)
}

/** Aborted when the client goes away before the answer is out: nobody waits for it any more. */
function abandoned({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort()
  })
  return controller.signal
}

/** Any body of up to the limit, as it came; none is none. */
function passBodiesThrough(server: Server) {
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
}
