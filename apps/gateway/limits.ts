/** How often one address may knock: decided before anything else is done for it. */
import type { RateLimit } from '@shop/redis-kit/rate-limit'
import { rateLimitHeaders } from '@shop/service-kit/http/rate-limit-headers'
import type { Server } from '@shop/service-kit/http/server'
import { addressGroup, clientAddress } from './address.ts'
import { errors } from './errors.ts'

/** Every answer says how much is left; health is asked by machines that must not be refused. */
export function limitRequests(server: Server, addresses: RateLimit) {
  server.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url?.startsWith('/health/')) return
    const decision = await addresses.check(addressGroup(clientAddress(request)))
    reply.headers(rateLimitHeaders([{ name: 'address', policy: addresses.policy, decision }]))
    if (!decision.allowed) throw errors.tooManyRequests({ retryAfterMs: decision.retryAfterMs })
  })
}
