/** Which headers pass the door. */
import type { IncomingHttpHeaders } from 'node:http'
import { parseCookie } from 'cookie'

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

export function requestHeaders(headers: IncomingHttpHeaders, cookieNames: readonly string[]): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name of requestNames) {
    const value = headers[name]
    if (typeof value === 'string') passed[name] = value
  }
  const cookie = someCookies(headers.cookie, cookieNames)
  if (cookie !== '') passed.cookie = cookie
  return passed
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

function someCookies(header: string | undefined, names: readonly string[]): string {
  if (header === undefined || names.length === 0) return ''
  const all = parseCookie(header)
  return names.flatMap((name) => (all[name] === undefined ? [] : [`${name}=${all[name]}`])).join('; ')
}
