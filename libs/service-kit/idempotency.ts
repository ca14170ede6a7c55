/**
 * Routes that may be asked twice and act once. The client names its request by an Idempotency-Key and repeats it until it
 * gets an answer (draft-ietf-httpapi-idempotency-key-header).
 *
 *     guardIdempotency(server, createIdempotency(redis, { keys: keys.checkout }))
 *     server.post('/api/orders', { config: { idempotent: { required: true } }, schema: … }, (request) => …)
 *
 * The handler runs for one request at a time of each key. It may run again after its process has died or was cut off from
 * Redis, so what must not happen twice has a unique row in the handler's own transaction.
 */
import {
  BodyTooDeep,
  type Claim,
  fingerprint,
  type Idempotency,
  type StoredResponse,
} from '@shop/redis-kit/idempotency'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { defineErrors } from './errors.ts'
import { requireUser } from './identity.ts'
import type { Server } from './server.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Guarded by `guardIdempotency`. Where the key is not required, requests without one are served as they come. */
    idempotent?: { required: boolean }
  }
}

export interface IdempotencyGuardOptions {
  /** Whose the key is; requests of different tenants never meet. @default the signed-in user, or 401 */
  tenant?: (request: FastifyRequest) => string
  /** Is an answer of this status the same at every time, and so to be repeated? @default below 500, but for 408, 425 and 429 */
  isFinal?: (status: number) => boolean
  /** A handler that takes longer has lost its claim. @default 120_000 */
  maxHoldMs?: number
}

const errors = defineErrors({
  keyRequired: [
    'invalid',
    'idempotency-key-required',
    'Send an Idempotency-Key header of 1 to 128 visible characters, a new one for each thing to be done',
  ],
  keyReused: ['unprocessable', 'idempotency-key-reused', 'This Idempotency-Key was used for another request'],
  inProgress: ['conflict', 'request-in-progress', 'The first request with this Idempotency-Key is not answered yet'],
  bodyTooDeep: ['invalid', 'body-too-deep', 'The body is nested too deeply'],
})

/** Visible ASCII: a UUID is the usual choice. */
const KEY = /^[\x21-\x7e]{1,128}$/
const MOMENTARY = new Set([408, 425, 429])

/** To be called once, before or after the routes. */
export function guardIdempotency(
  server: Server,
  idempotency: Idempotency,
  options: IdempotencyGuardOptions = {},
): void {
  const { tenant = (request) => requireUser(request).userId, isFinal = isFinalByDefault, maxHoldMs = 120_000 } = options
  const held = new WeakMap<FastifyRequest, { claim: Claim; stop: () => void }>()

  // Behind the validation: what is refused there leaves no trace.
  server.addHook('preHandler', async (request, reply) => {
    const { idempotent } = request.routeOptions.config
    const key = idempotent && keyOf(request, idempotent.required)
    if (key === undefined) return
    const begun = await idempotency.begin({
      tenant: tenant(request),
      route: `${request.method} ${request.routeOptions.url}`,
      key,
      fingerprint: fingerprintOf(request),
    })
    if (begun.status === 'mismatch') throw errors.keyReused()
    if (begun.status === 'in-progress') throw errors.inProgress({ retryAfterMs: begun.retryAfterMs })
    if (begun.status === 'replay') return replay(reply, begun.response)
    held.set(request, { claim: begun, stop: keepAlive(begun, request, idempotency.leaseMs, maxHoldMs) })
  })
  // The answer is kept before it is sent: whoever has it may rely on its being repeated. Errors come by here too.
  server.addHook('onSend', async (request, reply, payload) => {
    const holding = held.get(request)
    if (holding) {
      held.delete(request)
      holding.stop()
      if (isFinal(reply.statusCode)) await keep(holding.claim, request, reply, payload)
      // else nobody knows what was done: the lease runs out, and then it may be tried again
    }
    return payload
  })
}

function isFinalByDefault(status: number): boolean {
  return status < 500 && !MOMENTARY.has(status)
}

function keyOf(request: FastifyRequest, isRequired: boolean): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined && !isRequired) return undefined
  if (typeof key !== 'string' || !KEY.test(key)) throw errors.keyRequired()
  return key
}

function fingerprintOf({ method, url, body }: FastifyRequest): string {
  try {
    return fingerprint(method, url, body)
  } catch (error) {
    throw error instanceof BodyTooDeep ? errors.bodyTooDeep({ cause: error }) : error
  }
}

/** As it was, byte for byte. */
function replay(reply: FastifyReply, { status, headers, body }: StoredResponse): FastifyReply {
  reply.code(status).headers(headers).header('idempotent-replayed', 'true')
  return body.length > 0 ? reply.send(body) : reply.send()
}

/** Renews the claim until the request is answered. The result stops it. */
function keepAlive(claim: Claim, request: FastifyRequest, leaseMs: number, maxHoldMs: number): () => void {
  const endMs = performance.now() + maxHoldMs
  const timer = setInterval(renew, leaseMs / 3).unref()
  const stop = () => clearInterval(timer)

  async function renew() {
    if (performance.now() > endMs) return stop()
    try {
      if (await claim.renew()) return
      stop()
      request.log.warn('another process has taken over a request that is still being served here')
    } catch (error) {
      request.log.warn({ err: error }, 'a claim could not be renewed') // the next time, if there is one
    }
  }
  return stop
}

/** The effect has happened, so its answer goes out whatever becomes of its copy; without one, a repetition runs again. */
async function keep(claim: Claim, request: FastifyRequest, reply: FastifyReply, payload: unknown): Promise<void> {
  if (payload !== undefined && payload !== null && typeof payload !== 'string' && !(payload instanceof Uint8Array)) {
    request.log.error('the answer of an idempotent route is a stream, which cannot be repeated')
    return
  }
  try {
    const isKept = await claim.complete({
      status: reply.statusCode,
      headers: reply.getHeaders(),
      body: payload ?? undefined,
    })
    if (!isKept) request.log.warn('another process has taken over a request that was served here')
  } catch (error) {
    request.log.error({ err: error }, 'the answer of an idempotent route could not be kept')
  }
}
