/**
 * What a client is told about its limits: RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), which
 * are Lists of RFC 9651, and Retry-After. Seconds are rounded up, so that who waits as told is never too early.
 */
import type { Decision, Rate } from '@shop/redis-kit/rate-limit'

export interface LimitReport {
  /** A plain ASCII name, the same on every response: 'ip', 'sign-in'. Never an address or a user id. */
  name: string
  policy: Rate
  decision: Decision
}

/**
 * The headers for one response, by lower-case name. On a refusal give what refused. A degraded decision reports its
 * policy only: what remains is not known.
 */
export function rateLimitHeaders(reports: readonly LimitReport[]): Record<string, string> {
  const headers: Record<string, string> = {}
  const known = reports.filter(({ decision }) => !decision.degraded)
  if (reports.length > 0) headers['ratelimit-policy'] = reports.map(policyItem).join(', ')
  if (known.length > 0) headers.ratelimit = known.map(stateItem).join(', ')
  const waitMs = Math.max(0, ...reports.map(({ decision }) => decision.retryAfterMs))
  const isHopeless = reports.some(({ decision }) => decision.retryAfterMs < 0)
  if (waitMs > 0 && !isHopeless) headers['retry-after'] = String(wholeSeconds(waitMs))
  return headers
}

/** `"ip";q=100;w=60`: the sustained rate. A window is whole seconds, so a shorter or broken one is told per longer one. */
function policyItem({ name, policy: { count, periodMs } }: LimitReport): string {
  const windowSeconds = wholeSeconds(periodMs)
  const quota = Math.floor((count * windowSeconds * 1000) / periodMs)
  return `${quoted(name)};q=${quota};w=${windowSeconds}`
}

/** `"ip";r=50;t=30`: t is when there will be more: after a refusal the wait, so that Retry-After is never before it. */
function stateItem({ name, decision }: LimitReport): string {
  const { allowed, remaining, retryAfterMs, resetAfterMs } = decision
  const seconds = wholeSeconds(allowed || retryAfterMs < 0 ? resetAfterMs : retryAfterMs)
  return `${quoted(name)};r=${Math.max(0, remaining)};t=${seconds}`
}

function wholeSeconds(ms: number): number {
  return Math.ceil(ms / 1000)
}

/** A String of RFC 9651. Throws for what cannot be one. */
function quoted(name: string): string {
  if (!/^[\x20-\x7e]+$/.test(name)) throw new RangeError(`not a name for a header: ${JSON.stringify(name)}`)
  return `"${name.replace(/["\\]/g, '\\$&')}"`
}
