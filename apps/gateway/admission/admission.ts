/**
 * The checks that each request passes before any work is done for it, the cheapest first:
 *
 * 1. a denial of its address or its route that this process knows: Redis is not asked
 * 2. places in the bulkhead of its class
 * 3. the caller, on routes that need it
 * 4. one decision of all limits of its class, which takes from all or from none
 * 5. the length of its body
 *
 * A refusal of 1 or 2 is not charged. A failure after 4 is: a body that is too large, a path that does not exist, a session that cannot be
 * loaded now.
 */
import type { IncomingMessage } from 'node:http'
import { rateLimitHeaders } from '@shop/service-kit/http/rate-limit-headers'
import type { Server } from '@shop/service-kit/http/server'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { addressGroup, clientAddress, type TrustProxy } from '../address.ts'
import type { CallerOf } from '../caller.ts'
import { errors } from '../errors.ts'
import type { Caller } from '../identity.ts'
import { abandon } from '../proxy/departure.ts'
import { type RouteClass, routeClassOf } from '../routes.ts'
import { countChunks, requireBodyFits } from './body.ts'
import type { Bulkheads, Compartment, Shortage } from './bulkheads.ts'
import { createDeny } from './denials.ts'
import { refuseFloods } from './flood.ts'
import { createRefusal, type Refusal } from './refusal.ts'
import type { RequestLimits, Subject } from './request-limits.ts'
import type { Tally } from './tally.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose requests are counted together: addressGroup of the client's address. */
    addressGroup: string
  }
}

export interface AdmissionOptions {
  trustProxy: TrustProxy
  limits: RequestLimits
  bulkheads: Bulkheads
  callerOf: CallerOf
  tally: Tally
}

interface Asked {
  routeClass: RouteClass
  subject: Subject
  compartment: Compartment
}

export function admitRequests(server: Server, { trustProxy, limits, bulkheads, callerOf, tally }: AdmissionOptions) {
  const counters = { tally, metrics: server.metrics }
  const deny = createDeny('rate-limit', counters)
  const denyUnavailable = createDeny('limits-unavailable', counters)
  const refuseShortage: Record<Shortage, Refusal> = {
    bulkhead: createRefusal(errors.overloaded({ retryAfterMs: 1_000 }), server.metrics),
    'bulkhead-address': createRefusal(errors.tooManyConcurrent({ retryAfterMs: 1_000 }), server.metrics),
  }
  const floods = refuseFloods(server, { groupOf, limits, deny })
  server.decorateRequest('addressGroup', '')
  countChunks(server)
  server.addHook('onRequest', async (request, reply) => {
    const routeClass = routeClassOf(request)
    if (routeClass === undefined) return // health: asked by machines that must not be refused
    request.addressGroup = groupOf(request.raw)
    if (request.addressGroup === '') return abandon(request, reply) // a connection without an address is closed
    const subject = { address: request.addressGroup, route: routeOf(request) }
    const known = limits.knownDenials(routeClass, subject)
    if (known.length > 0) {
      floods.remember(request, { routeClass, route: subject.route })
      return deny(hijack(request, reply), known, headersOf(reply))
    }
    const compartment = bulkheads.of(routeClass)
    const shortage = compartment.enter(subject.address, reply.raw)
    if (shortage) {
      tally.count(shortage, compartment.name)
      return refuseShortage[shortage](hijack(request, reply), headersOf(reply))
    }
    await decide(request, reply, { routeClass, subject, compartment })
  })

  async function decide(request: FastifyRequest, reply: FastifyReply, { routeClass, subject, compartment }: Asked) {
    const caller = await callerIfWanted(request)
    const { allowed, isUnavailable, decisions } = await limits.check(routeClass, { ...subject, caller })
    if (!allowed) {
      const answer = isUnavailable ? denyUnavailable : deny
      return answer(hijack(request, reply), decisions, headersOf(reply))
    }
    reply.headers(rateLimitHeaders(decisions))
    request.bodyMaxBytes = compartment.bodyMaxBytes()
    requireBodyFits(request)
  }

  /** Undefined where it cannot be known now: the address is charged all the same, and the handler says what is wrong. */
  async function callerIfWanted(request: FastifyRequest): Promise<Caller | undefined> {
    if (request.routeOptions.config.access === undefined) return undefined
    return callerOf(request).catch(() => undefined)
  }

  function groupOf(request: IncomingMessage): string {
    return addressGroup(clientAddress(request, trustProxy))
  }
}

/** Takes the response out of Fastify's hands: a refusal passes no more hooks, and is counted instead of logged. */
function hijack(request: FastifyRequest, reply: FastifyReply) {
  request.isTallied = true
  return reply.hijack().raw
}

/** The headers that the server sets on every answer. */
function headersOf(reply: FastifyReply) {
  return reply.getHeaders() as Record<string, string>
}

/** HEAD does the work of GET, and counts as GET. All unknown paths are one route. */
function routeOf({ method, is404, routeOptions }: FastifyRequest): string {
  if (is404) return 'none'
  return `${method === 'HEAD' ? 'GET' : method} ${routeOptions.url}`
}
