/**
 * The HTTP server that every service starts from: TypeBox schemas in front, problem+json behind, identity, health, request ids, one log
 * line and one metric per request. A service adds its routes and nothing of the above.
 *
 *     const server = createServer({ log, name, identityPublicKey: config.IDENTITY_PUBLIC_KEY, probes: [redisProbe(…)] })
 *     const schema = { params: ThingParams, response: { 200: Thing } }
 *     server.get('/api/things/:id', { schema }, ({ params }) => things.get(params.id))
 */
import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify'
import { createIdentityVerifier, requireIdentity } from '../identity/identity.ts'
import { createHealth, type Health, type Probe } from '../process/health.ts'
import type { Log } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { isRequestId } from '../telemetry/origin.ts'
import { answerEarly, hasBody, refuseConnection } from './early-answer.ts'
import { defineErrors } from './errors.ts'
import { readJsonOnly, refusalOfTarget } from './json-body.ts'
import { describeRoutes, serveDescription } from './openapi.ts'
import { sendProblem } from './problem.ts'
import { refusalOfHost } from './request-host.ts'
import { createValidatorCompiler } from './validation.ts'

export interface ServerOptions {
  log: Log
  /** Name of the service: title of its API description. @default 'service' */
  name?: string
  /**
   * `required`: every route that is not `config.public` needs a token that the gateway signed. `none`: the gateway itself.
   * @default 'required'
   */
  identity?: 'required' | 'none'
  /** IDENTITY_PUBLIC_KEY; needed when identity is required. */
  identityPublicKey?: string
  /** What /health/ready asks. @default none */
  probes?: readonly Probe[]
  /** @default metrics of its own */
  metrics?: Metrics
  /** @default 1 MiB */
  bodyLimitBytes?: number
  /** Longest that a whole body may take, except on routes whose `config.streamsBody` says that they watch over theirs. @default 120_000 */
  bodyTimeoutMs?: number
  /** `own`: the service serves /docs itself. @default 'json': /docs/json, from `describeApi` */
  docs?: 'json' | 'own'
  /** How long a client that gets its answer before it has sent its body may go on sending. @default 5_000 */
  lingerMs?: number
  /**
   * Whether X-Forwarded-For and X-Forwarded-Proto are believed.
   * @default true behind the gateway, which writes them itself and whose token every request needs; false at the gateway
   */
  trustProxy?: boolean | ((address: string, hop: number) => boolean)
  /** Whether x-request-id of the request is kept, when it looks like one. @default true behind the gateway, false at the gateway */
  acceptRequestId?: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    health: Health
    metrics: Metrics
  }
  interface FastifyRequest {
    /** It was refused and counted with others, so that its line in the log is for `debug` only. */
    isTallied: boolean
  }
  interface FastifyContextConfig {
    /** The body is read piece by piece, for as long as it takes: the route itself limits its size and its silences. */
    streamsBody?: boolean
  }
}

const errors = defineErrors({
  routeNotFound: ['not-found', 'route-not-found', 'This path does not exist'],
  methodNotAllowed: ['method-not-allowed', 'method-not-allowed', (allow: string) => `Use ${allow}`],
  contentEncoded: [
    'unsupported-media-type',
    'content-encoding-unsupported',
    'Send the body without Content-Encoding',
    { headers: { 'accept-encoding': 'identity' } },
  ],
})

export type Server = ReturnType<typeof createServer>

export function createServer(options: ServerOptions) {
  const { log, name = 'service', identity = 'required', identityPublicKey, probes = [], lingerMs = 5_000 } = options
  const metrics = options.metrics ?? createMetrics({ service: name, instanceId: '' })
  const acceptRequestId = options.acceptRequestId ?? identity === 'required'
  const server = fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: requestLog(metrics),
    genReqId: (request) => requestIdOf(request.headers['x-request-id'], acceptRequestId),
    bodyLimit: options.bodyLimitBytes ?? 1_048_576,
    trustProxy: options.trustProxy ?? identity === 'required',
    // Idle time inside a request, idle time between two (longer than the gateway's, which so closes first); see also limitBodyTime.
    requestTimeout: 0,
    connectionTimeout: 120_000,
    keepAliveTimeout: 72_000,
    http: {
      requireHostHeader: false,
      headersTimeout: 15_000,
      connectionsCheckingInterval: 5_000,
      maxHeaderSize: 16_384,
    },
    routerOptions: { maxParamLength: 256 },
    // While stopping, what still comes in on open connections is served, and told to close the connection.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => refuseUnrouted(error, request as never, reply as never, metrics),
    clientErrorHandler: (error, socket) => refuseConnection(error, socket, lingerMs),
  })

  server.decorate('health', createHealth(probes))
  server.decorate('metrics', metrics)
  server.decorateRequest('identity', null as never)
  server.decorateRequest('isTallied', false)
  server.setValidatorCompiler(createValidatorCompiler())
  server.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  answerUnknownRoutes(server)
  answerEarly(server, lingerMs)
  limitBodyTime(server, options.bodyTimeoutMs ?? 120_000, lingerMs)
  refuseEncodedBodies(server)
  readJsonOnly(server)
  server.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
    done(refusalOfHost(request.raw) ?? refusalOfTarget(request.raw.url ?? ''))
  })
  if (identity === 'required') {
    if (identityPublicKey === undefined) throw new TypeError('createServer: identityPublicKey is missing')
    requireIdentity(server, createIdentityVerifier(identityPublicKey))
  }
  describeRoutes(server, { title: name })
  if (options.docs !== 'own') serveDescription(server)
  serveHealth(server)
  return server.withTypeProvider<TypeBoxTypeProvider>()
}

/** One line per request, when it is over. Probes ask every second and refusals come in floods, so theirs are for `debug` only. */
function requestLog(metrics: Metrics): LogController {
  const controller = new LogController({ requestIdLogLabel: 'requestId' })
  controller.incomingRequest = () => {}
  controller.requestCompleted = (error, request, reply) => {
    const route = routeOf(request)
    const durationMs = Math.round(reply.elapsedTime * 100) / 100
    const fields = { method: request.method, route, status: reply.statusCode, durationMs }
    metrics.observeRequest(request.method, route, reply.statusCode, durationMs)
    if (error) request.log.warn({ ...fields, err: error }, 'response aborted')
    else if (route.startsWith('/health/') || request.isTallied) request.log.debug(fields, 'request completed')
    else request.log.info(fields, 'request completed')
  }
  return controller
}

/** What the router itself refuses passes no hook, so it is counted and logged here. */
function refuseUnrouted(error: unknown, request: FastifyRequest, reply: FastifyReply, metrics: Metrics) {
  sendProblem(error, request, reply)
  metrics.observeRequest(request.method, 'none', reply.statusCode, 0)
  request.log.info({ method: request.method, route: 'none', status: reply.statusCode }, 'request completed')
}

/**
 * Closes the connection of a body that takes too long, whether it is read or not. Node's own limit (requestTimeout) is the same for
 * every request and so too short for a body that streams.
 */
function limitBodyTime(server: FastifyInstance, timeoutMs: number, lingerMs: number) {
  server.addHook('onRequest', ({ raw, routeOptions }, _reply, done) => {
    if (hasBody(raw) && !routeOptions.config.streamsBody) {
      const late = Object.assign(new Error(`the body took longer than ${timeoutMs} ms`), {
        code: 'ERR_HTTP_REQUEST_TIMEOUT',
      })
      const timer = setTimeout(() => refuseConnection(late, raw.socket, lingerMs), timeoutMs).unref()
      raw.once('close', () => clearTimeout(timer))
    }
    done()
  })
}

function routeOf(request: FastifyRequest): string {
  return request.is404 ? 'none' : (request.routeOptions.url ?? 'none')
}

function requestIdOf(header: string | string[] | undefined, accept: boolean): string {
  return accept && isRequestId(header) ? header : randomUUID()
}

/** Bodies are read as they come. Compressed bytes would be taken for the text or the image itself. */
function refuseEncodedBodies(server: FastifyInstance) {
  server.addHook('preParsing', ({ raw }, _reply, _payload, done) => {
    if (raw.method === 'GET' || raw.method === 'HEAD') return done() // a body of theirs is not read
    const encoding = raw.headers['content-encoding']?.trim().toLowerCase() ?? 'identity'
    done(hasBody(raw) && encoding !== 'identity' && encoding !== '' ? errors.contentEncoded() : null)
  })
}

/** 405 with Allow when only the method is wrong, else 404; whatever the body is, which is not read. */
function answerUnknownRoutes(server: FastifyInstance) {
  const routes: { method: string; pattern: () => URLPattern }[] = []
  server.addHook('onRoute', ({ method, url }) => {
    let compiled: URLPattern | undefined
    const pattern = () => {
      compiled ??= new URLPattern({ pathname: url })
      return compiled
    }
    for (const one of [method].flat()) routes.push({ method: one, pattern })
  })
  server.addHook('preParsing', (request, _reply, _payload, done) => done(request.is404 ? refusalOf(request) : null))
  server.setNotFoundHandler((request) => {
    throw refusalOf(request)
  })

  function refusalOf({ url, method }: FastifyRequest) {
    const path = url.split('?', 1)[0] as string
    const allowed = routes.filter(({ pattern }) => pattern().test({ pathname: path })).map(({ method }) => method)
    // A route of this method that found nothing is a folder of files.
    if (allowed.length === 0 || allowed.includes(method)) return errors.routeNotFound()
    const allow = [...new Set(allowed)].sort().join(', ')
    return errors.methodNotAllowed(allow, { headers: { allow } })
  }
}

function serveHealth(server: FastifyInstance) {
  const config = { public: true, internal: true }
  server.get('/health/live', { config }, () => ({ status: 'live' }))
  server.get('/health/ready', { config }, async (_request, reply) => {
    const readiness = await server.health.ready()
    return reply
      .code(readiness.status === 'unready' ? 503 : 200)
      .header('cache-control', 'no-store')
      .send(readiness)
  })
}
