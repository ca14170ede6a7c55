/**
 * Against cross-site request forgery, as Go's http.CrossOriginProtection does it: browsers say from where a page sends a request, and a
 * page of another origin may not change anything. No address of the shop is configured, so it works under every name that reaches it.
 *
 * 1. GET, HEAD and OPTIONS change nothing and pass.
 * 2. A trusted origin passes.
 * 3. `Sec-Fetch-Site` decides where it is sent (all browsers since 2023): `same-origin` and `none` (typed by a person) pass.
 * 4. Else `Origin` must name the host that the request was sent to: the host of its target, if it names one, else `Host`. A request
 *    without `Origin` comes from no browser and passes.
 *
 * https://pkg.go.dev/net/http#CrossOriginProtection
 */
import type { IncomingHttpHeaders } from 'node:http'
import { hostOfTarget } from '../http/request-host.ts'

const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS'])

export interface CheckedRequest {
  method: string
  /** As in the request line: a path, or the whole URL. */
  target: string
  headers: IncomingHttpHeaders
}

/** Answers whether a page of another origin sent the request to change something. */
export type CrossOriginCheck = (request: CheckedRequest) => boolean

/** @param trustedOrigins `https://partner.example`, as browsers write them. Throws for anything else. */
export function createCrossOriginCheck(trustedOrigins: readonly string[] = []): CrossOriginCheck {
  const trusted = new Set(trustedOrigins.map(checkedOrigin))
  return function isCrossOrigin({ method, target, headers }) {
    if (safeMethods.has(method)) return false
    const { origin, host: named } = headers
    if (origin !== undefined && trusted.has(origin)) return false
    const site = headers['sec-fetch-site']
    if (site !== undefined && site !== '') return site !== 'same-origin' && site !== 'none'
    const host = hostOfTarget(target) ?? named
    return origin !== undefined && hostOf(origin) !== host?.toLowerCase()
  }
}

/** `null` (a sandboxed page, a file) has no host, so it never equals the shop's. */
function hostOf(origin: string): string | null {
  return /^https?:\/\/([^/?#@]+)$/i.exec(origin)?.[1]?.toLowerCase() ?? null
}

function checkedOrigin(text: string): string {
  if (!URL.canParse(text) || new URL(text).origin !== text) {
    throw new TypeError('a trusted origin must be a scheme and a host, such as https://partner.example')
  }
  return text
}
