/** The caller of a request, looked up once: the limits need it first, then the route. */
import type { Server } from '@shop/service-kit/http/server'
import type { CrossOriginCheck } from '@shop/service-kit/identity/cross-origin'
import type { FastifyRequest } from 'fastify'
import { errors } from './errors.ts'
import type { Caller, Identify } from './identity.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Null until it is looked up. */
    caller: Promise<Caller> | null
  }
}

/** Rejects for a page of another origin, and as `identify` does. */
export type CallerOf = (request: FastifyRequest) => Promise<Caller>

export interface CallerOptions {
  identify: Identify
  isCrossOrigin: CrossOriginCheck
}

export function createCallerOf(server: Server, { identify, isCrossOrigin }: CallerOptions): CallerOf {
  server.decorateRequest('caller', null)
  return function callerOf(request) {
    request.caller ??= find(request)
    return request.caller
  }

  async function find(request: FastifyRequest): Promise<Caller> {
    const { method, url: target, headers, routeOptions } = request
    if (isCrossOrigin({ method, target, headers })) throw errors.originNotAllowed()
    return identify(request, routeOptions.config.access ?? { withoutSessions: 'refuse' })
  }
}
