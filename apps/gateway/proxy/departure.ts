/** Clients that leave before their answer. */
import type { FastifyReply, FastifyRequest } from 'fastify'

/** Ends a request without an answer, and leaves a line in the log. */
export function abandon({ method, routeOptions }: FastifyRequest, reply: FastifyReply): void {
  reply.hijack().log.info({ method, route: routeOptions.url, status: 499 }, 'request abandoned by the client')
}
