/**
 * The one place where a no becomes an HTTP answer: application/problem+json (RFC 9457) with a stable `code`. Whatever is thrown, in
 * a handler, by Fastify or by Node's HTTP parser, ends here; what is not understood is a 500 that says nothing and is logged whole.
 */
import { STATUS_CODES } from 'node:http'
import type { Problem } from '@shop/contracts/problem'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isContention, isDependencyOutage } from '../storage/outage.ts'
import { type ErrorKind, ShopError, type ShopErrorOptions } from './errors.ts'
import { fieldProblems, partName, type ValidationError } from './validation.ts'

/** Kind to status. Nothing else in the repository decides a status code of a failure. */
export const statusOfKind: Record<ErrorKind, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  'method-not-allowed': 405,
  conflict: 409,
  'too-large': 413,
  'url-too-long': 414,
  'unsupported-media-type': 415,
  unprocessable: 422,
  'too-many': 429,
  unknown: 500,
  unavailable: 503,
  'timed-out': 504,
}

/** Fastify's own refusals. Anything of Fastify that is not here is a mistake of ours and stays a 500. */
const fastifyErrors: Record<string, readonly [ErrorKind, code: string, message: string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too-large', 'body-too-large', 'The body is larger than this route accepts'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported-media-type',
    'unsupported-media-type',
    'This route does not accept this content type',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    'invalid',
    'content-length-mismatch',
    'The length of the body differs from Content-Length',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid', 'body-empty', 'The body is empty; send JSON or omit Content-Type'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid', 'body-not-json', 'The body is not valid JSON'],
  FST_ERR_ROUTE_MISSING_CONTENT_TYPE: ['invalid', 'content-type-missing', 'The body needs a Content-Type'],
  FST_ERR_BAD_URL: ['invalid', 'url-malformed', 'The path is not valid percent-encoded UTF-8'],
  FST_ERR_INVALID_URL: ['invalid', 'url-malformed', 'The URL is not valid'],
  FST_ERR_MAX_PARAM_LENGTH: ['url-too-long', 'url-too-long', 'A segment of the path is too long'],
  FST_ERR_HANDLER_TIMEOUT: ['unavailable', 'handler-timeout', 'The request took too long'],
}

export interface ProblemAnswer {
  status: number
  headers: Record<string, string>
  body: Problem
}

/** What to answer for anything that was thrown. Never throws, never tells what was not written to be told. */
export function problemOf(error: unknown, where: { path?: string; requestId?: string } = {}): ProblemAnswer {
  const { status, failure } = understand(error)
  const headers: Record<string, string> = { 'cache-control': 'no-store', ...failure.headers }
  if (failure.retryAfterMs !== undefined) headers['retry-after'] = `${Math.ceil(failure.retryAfterMs / 1000)}`
  return {
    status,
    headers,
    body: {
      ...failure.extensions,
      type: 'about:blank',
      title: STATUS_CODES[status] ?? 'Error',
      status,
      code: failure.code,
      detail: failure.message,
      ...(where.path !== undefined && { instance: where.path }),
      ...(where.requestId !== undefined && { requestId: where.requestId }),
      ...(failure.fields.length > 0 && { errors: [...failure.fields] }),
    },
  }
}

/** Fastify's error handler and `frameworkErrors` at once. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const answer = problemOf(error, { path: pathOf(request.url), requestId: request.id })
  request.server.metrics.countProblem(answer.status, answer.body.code)
  if (answer.status >= 500) logFailure(error, answer, request)
  return reply
    .code(answer.status)
    .headers(answer.headers)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(answer.body)
}

/** The whole HTTP/1.1 response, for a socket on which no request could be parsed. */
export function rawProblem(error: { code?: string }): string {
  const [status, code, detail] = clientErrors[error.code ?? ''] ?? [
    400,
    'request-malformed',
    'The request is not valid HTTP',
  ]
  const title = STATUS_CODES[status] ?? 'Error'
  const body = JSON.stringify({ type: 'about:blank', title, status, code, detail })
  const head = [
    `HTTP/1.1 ${status} ${title}`,
    'connection: close',
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

const clientErrors: Record<string, readonly [status: number, code: string, detail: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request-timeout', 'The request was not received in time'],
  EXPECTATION_FAILED: [417, 'expectation-failed', 'Only the expectation 100-continue is supported'],
  HPE_HEADER_OVERFLOW: [431, 'headers-too-large', 'The URL and headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'body-too-large', 'The chunk extensions are too large'],
}

interface RefusedByFastify {
  code?: string
  validation?: readonly ValidationError[]
  validationContext?: string
}

function understand(error: unknown): { status: number; failure: ShopError } {
  if (error instanceof ShopError) return { status: statusOfKind[error.kind], failure: error }
  const { code, validation, validationContext = 'body' } = (error ?? {}) as RefusedByFastify
  if (Array.isArray(validation)) {
    return fail('invalid', 'validation-failed', `The ${partName(validationContext)} is not valid; see errors`, {
      fields: fieldProblems(validation, validationContext),
    })
  }
  const known = typeof code === 'string' ? fastifyErrors[code] : undefined
  if (known !== undefined) return fail(...known)
  if (isDependencyOutage(error)) {
    return fail('unavailable', 'dependency-unavailable', 'A dependency is not available; try again', {
      retryAfterMs: 2_000,
      isShared: !isContention(error),
    })
  }
  return fail('unknown', 'internal', 'An internal error occurred')
}

function fail(kind: ErrorKind, code: string, message: string, options: ShopErrorOptions = {}) {
  return { status: statusOfKind[kind], failure: new ShopError(kind, code, message, options) }
}

/** Without the query: it may hold what a person typed. */
function pathOf(url: string): string {
  const end = url.indexOf('?')
  return (end === -1 ? url : url.slice(0, end)).slice(0, 300)
}

function logFailure(error: unknown, { status, body }: ProblemAnswer, request: FastifyRequest) {
  const fields = { err: error, code: body.code, method: request.method, route: request.routeOptions?.url, status }
  if (status === 500) request.log.error(fields, 'request failed')
  else request.log.warn(fields, 'request not served')
}
