/**
 * The cookie that carries a session's id: HttpOnly (no script reads it), SameSite=Lax (no other site posts with it),
 * and on https Secure with the __Host- prefix, which keeps subdomains and plain http from planting one.
 *
 * Its Max-Age is a courtesy to the browser. When a session ends is decided by Redis alone.
 */
import { parseCookie, stringifySetCookie } from 'cookie'

export interface SessionCookieOptions {
  /** Where browsers find the shop; https makes the cookie Secure. */
  publicUrl: string
  /** How long browsers keep it: the sessions' absolute lifetime. */
  maxAgeMs: number
  /** Without prefix. @default shop_session */
  name?: string
}

export interface SessionCookie {
  /** As it is on the wire, prefix included. */
  readonly name: string
  /** The value in a Cookie header, undefined without one. Not checked: whatever a client likes to send. */
  read(cookieHeader: string | undefined): string | undefined
  /** The Set-Cookie header that signs in. */
  write(id: string): string
  /** The Set-Cookie header that signs out. */
  clear(): string
}

export function createSessionCookie(options: SessionCookieOptions): SessionCookie {
  const { publicUrl, maxAgeMs, name: plainName = 'shop_session' } = options
  const secure = new URL(publicUrl).protocol === 'https:'
  const name = secure ? `__Host-${plainName}` : plainName
  const attributes = { name, path: '/', httpOnly: true, sameSite: 'lax', secure } as const

  return {
    name,
    read: (cookieHeader) => (cookieHeader?.includes(name) ? parseCookie(cookieHeader)[name] : undefined),
    write: (id) => stringifySetCookie({ ...attributes, value: id, maxAge: Math.floor(maxAgeMs / 1000) }),
    clear: () => stringifySetCookie({ ...attributes, value: '', maxAge: 0, expires: new Date(0) }),
  }
}
