/** Which headers pass the door. */
import type { Readable } from 'node:stream'
import type { CookieName } from '@shop/contracts/cookies'
import type { ServiceResponse } from '@shop/service-kit/call/client'
import { type CookieRequest, cookiesIn, wireName } from '@shop/service-kit/identity/session-cookie'
import type { FastifyReply } from 'fastify'

/** What a service may learn of the request from the client itself. Everything else stays outside: a list, so that nothing is forgotten. */
const requestNames = [
  'accept',
  'accept-language',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'last-event-id',
  'user-agent',
  'traceparent',
  'tracestate',
]

/** Of one connection and not of the message (RFC 9110, 7.6.1), and what the gateway says itself. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'date',
  'x-request-id',
])

/** @param cookies the names of the cookies that the service sees */
export function requestHeaders(request: CookieRequest, cookies: readonly CookieName[] = []): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name of requestNames) {
    const value = request.headers[name]
    if (typeof value === 'string') passed[name] = value
  }
  const pairs = cookies.flatMap((name) => cookiePair(request, wireName(name, request)) ?? [])
  if (pairs.length > 0) passed.cookie = pairs.join('; ')
  return passed
}

/** The path with its query, also of a request that names the whole URL (RFC 9112, 3.2.2). */
export function originForm(target: string): string {
  return target.replace(/^https?:\/\/[^/?#]*/i, '')
}

export function responseHeaders(
  headers: Record<string, string | string[] | undefined>,
): Record<string, string | string[]> {
  const passed: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !hopByHop.has(name)) passed[name] = value
  }
  return passed
}

/** An answer as the service gave it. That to HEAD has no body, and the length that GET's would have. */
export function send(reply: FastifyReply, { status, headers, body }: ServiceResponse<Buffer | Readable>) {
  reply.code(status).headers(responseHeaders(headers))
  if (reply.request.method !== 'HEAD') return reply.send(body)
  if (!Buffer.isBuffer(body)) body.destroy()
  if (headers['content-length'] !== undefined) reply.header('content-length', headers['content-length'])
  return reply.send()
}

/** What a cookie may consist of (RFC 6265, 4.1.1), quotes around it included. */
const cookieValue = /^(?:[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*|"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")$/

/** The cookie as it came, or nothing: a value is never decoded on its way, and one that is no cookie's is dropped. */
function cookiePair({ headers }: CookieRequest, name: string): string | undefined {
  const value = headers.cookie === undefined ? undefined : cookiesIn(headers.cookie)[name]
  return value !== undefined && cookieValue.test(value) ? `${name}=${value}` : undefined
}
