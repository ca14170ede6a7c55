/**
 * Passing a request on: to an instance that the registry knows, with the identity the gateway vouches for, and with nothing
 * that a client could claim about itself. Bodies pass through as bytes; what is in them is the service's business.
 */
import { type Identity, identityHeader } from '@shop/contracts/identity'
import type { ServiceClient } from '@shop/service-kit/call/client'
import type { Server } from '@shop/service-kit/http/server'
import type { createIdentityMinter } from '@shop/service-kit/identity'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CallerOf } from '../caller.ts'
import { errors } from '../errors.ts'
import { internalPaths, type Route, routes } from '../routes.ts'
import { abandon } from './departure.ts'
import { originForm, requestHeaders, send } from './headers.ts'
import type { ForwardStream } from './streaming.ts'

interface Dependencies {
  client: ServiceClient
  forwardStream: ForwardStream
  callerOf: CallerOf
  mint: ReturnType<typeof createIdentityMinter>
  timeoutMs: number
}

const clientGone = new Error('the client disconnected')

/** Methods that may be sent a second time; POST only when the client gave it a key. */
const idempotentMethods = new Set(['GET', 'HEAD', 'PUT', 'DELETE'])

/** The part of a route that says what its service is sent. */
type Destination = Pick<Route, 'service' | 'cookies'>

export type Forwarding = ReturnType<typeof createForwarding>

export function createForwarding(dependencies: Dependencies) {
  const { client, forwardStream, callerOf, mint, timeoutMs } = dependencies
  return { forward, callerOf, toService, untilClientGone }

  function forward(route: Route, request: FastifyRequest, reply: FastifyReply) {
    return untilClientGone(request, reply, async (abort) => {
      const { identity } = await callerOf(request)
      const outgoing = toService(route, request, identity)
      if (route.body === 'stream' || route.answer === 'stream') {
        const caller = identity.userId ?? request.addressGroup
        return forwardStream({ route, outgoing, caller, request, reply, abort })
      }
      const body = request.body as Buffer | undefined
      const { signal } = abort
      return send(reply, await client.request({ ...outgoing, body, deadlineMs: timeoutMs, signal }))
    })
  }

  function toService({ service, cookies }: Destination, request: FastifyRequest, identity: Identity) {
    const { method } = request
    return {
      service,
      method,
      path: originForm(request.url),
      headers: {
        ...requestHeaders(request, cookies),
        [identityHeader]: mint(identity),
        'x-request-id': request.id,
        'x-forwarded-proto': request.protocol === 'https' ? 'https' : 'http',
      },
      idempotent: idempotentMethods.has(method) || request.headers['idempotency-key'] !== undefined,
    }
  }

  /** Ends the work when the client disconnects before its answer: that is not a failure of the service. */
  async function untilClientGone<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    work: (abort: AbortController) => Promise<T>,
  ) {
    const abort = new AbortController()
    const { raw } = reply
    // A hook may have waited before this: `close` is emitted once.
    if (raw.closed) abort.abort(clientGone)
    raw.once('close', () => {
      if (!raw.writableFinished) abort.abort(clientGone)
    })
    try {
      abort.signal.throwIfAborted()
      return await work(abort)
    } catch (error) {
      if (error !== clientGone) throw error
      abandon(request, reply)
    }
  }
}

export function forwardRoutes(server: Server, { forward }: Forwarding) {
  passBodiesThrough(server)
  for (const path of internalPaths) {
    server.get(path, { config: { limits: 'unknown' } }, () => {
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
      streaming.route({ ...options(route), config: { ...configOf(route), streamsBody: true } })
    }
  })

  function options(route: Route) {
    const handler = (request: FastifyRequest, reply: FastifyReply) => forward(route, request, reply)
    return { method: withHead(route.methods), url: route.path, config: configOf(route), handler }
  }
}

function configOf({ limits, withoutSessions, scope }: Route) {
  return { limits, access: { withoutSessions, scope } }
}

/** A service answers HEAD wherever it answers GET, and alone knows with which headers. */
export function withHead(methods: Route['methods']): string[] {
  return methods.includes('GET') ? [...methods, 'HEAD'] : [...methods]
}

/** Bodies pass through as raw bytes up to the limit; an absent body stays undefined. */
function passBodiesThrough(server: Server) {
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
}
