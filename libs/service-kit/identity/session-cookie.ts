/**
 * The cookie that carries a session's id: HttpOnly (no script reads it), SameSite=Lax (no other site posts with it),
 * and for a request that came over https Secure with the __Host- prefix, which keeps subdomains and plain http from planting one.
 *
 * The scheme is the request's own, so one shop can be reached over http and https at once; see `trustProxy` in server.ts.
 * Max-Age is a courtesy to the browser. Redis alone decides when a session ends.
 */
import { parseCookie, stringifySetCookie } from 'cookie'
import type { FastifyRequest } from 'fastify'

export interface SessionCookieOptions {
  /** How long browsers keep it: the sessions' absolute lifetime. */
  maxAgeMs: number
  /** Without prefix; see contracts/cookies.ts. */
  name: string
}

/** What is asked of a request: its scheme and its Cookie header. */
export type CookieRequest = Pick<FastifyRequest, 'protocol' | 'headers'>

export interface SessionCookie {
  /** As `readCookie`. */
  read(request: CookieRequest): string | undefined
  /** The Set-Cookie header that signs in. */
  write(id: string, request: CookieRequest): string
  /** The Set-Cookie header that signs out. */
  clear(request: CookieRequest): string
}

export function createSessionCookie({ maxAgeMs, name }: SessionCookieOptions): SessionCookie {
  return { read: (request) => readCookie(name, request), write, clear }

  function write(value: string, request: CookieRequest) {
    return stringifySetCookie({ ...attributes(request), value, maxAge: Math.floor(maxAgeMs / 1000) })
  }

  function clear(request: CookieRequest) {
    return stringifySetCookie({ ...attributes(request), value: '', maxAge: 0, expires: new Date(0) })
  }

  function attributes(request: CookieRequest) {
    const secure = isSecure(request)
    return { name: wireName(name, request), path: '/', httpOnly: true, sameSite: 'lax', secure } as const
  }
}

/** The value that the client sent, undefined without one. Neither decoded nor checked. @param name without prefix */
export function readCookie(name: string, request: CookieRequest): string | undefined {
  const { cookie } = request.headers
  return cookie?.includes(name) ? cookiesIn(cookie)[wireName(name, request)] : undefined
}

/** The name as the browser sends it: with the __Host- prefix over https. */
export function wireName(name: string, request: CookieRequest): string {
  return isSecure(request) ? `__Host-${name}` : name
}

/** Names and values as they were sent. Percent escapes are not decoded: a decoded value may not fit into a header again. */
export function cookiesIn(header: string): Record<string, string | undefined> {
  return parseCookie(header, { decode: (value) => value })
}

function isSecure({ protocol }: CookieRequest): boolean {
  return protocol === 'https'
}
