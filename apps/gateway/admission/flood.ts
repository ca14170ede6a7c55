/**
 * Floods of refused requests. A request whose method and path were refused before is looked at before Fastify makes anything of it: if
 * its address or its route is still known to be over a limit, it is answered here, for about the price of reading it.
 */
import { randomUUID } from 'node:crypto'
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import { hasBody } from '@shop/service-kit/http/early-answer'
import type { Server } from '@shop/service-kit/http/server'
import type { FastifyRequest } from 'fastify'
import type { RouteClass } from '../routes.ts'
import type { Deny } from './denials.ts'
import type { RequestLimits } from './request-limits.ts'

/** Under which name its route is limited. */
interface Asked {
  routeClass: RouteClass
  route: string
}

/** What Fastify's router said about a method and a path. */
interface Refused extends Asked {
  /** As the metrics name it. */
  pattern: string
}

export interface FloodOptions {
  groupOf(request: IncomingMessage): string
  limits: RequestLimits
  deny: Deny
}

const MAX_PATHS = 1_000
const MAX_PATH_LENGTH = 200

export function refuseFloods(server: Server, { groupOf, limits, deny }: FloodOptions) {
  const refused = new Map<string, Refused>()
  const http = server.server as HttpServer
  const listeners = http.listeners('request')
  http.removeAllListeners('request').on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (isAnswered(request, response)) return
    for (const listener of listeners) listener.call(http, request, response)
  })
  return { remember }

  /** Remembers a refused request: the same method and path lead to the same route again. */
  function remember({ raw, is404, routeOptions: { url = 'none' } }: FastifyRequest, asked: Asked) {
    const key = keyOf(raw)
    if (key.length > MAX_PATH_LENGTH || refused.has(key)) return
    if (refused.size >= MAX_PATHS) refused.clear()
    refused.set(key, { ...asked, pattern: is404 ? 'none' : url })
  }

  /** A body has to be read to its end, which is Fastify's work. So are the last answers of a server that closes. */
  function isAnswered(request: IncomingMessage, response: ServerResponse): boolean {
    if (refused.size === 0 || hasBody(request) || !http.listening) return false
    const asked = refused.get(keyOf(request))
    if (asked === undefined) return false
    const denials = limits.knownDenials(asked.routeClass, { address: groupOf(request), route: asked.route })
    if (denials.length === 0) return false
    deny(response, denials, { 'x-request-id': randomUUID(), 'x-content-type-options': 'nosniff' })
    server.metrics.observeRequest(request.method as string, asked.pattern, response.statusCode, 0)
    return true
  }
}

function keyOf({ method, url = '' }: IncomingMessage): string {
  const end = url.indexOf('?')
  return `${method} ${end === -1 ? url : url.slice(0, end)}`
}
