/**
 * What a client is told about its limits: RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11), which are Lists of
 * RFC 9651, and Retry-After.
 *
 *     RateLimit-Policy: "address";q=200;w=1, "address-burst";q=600;w=3
 *     RateLimit: "address";r=200;t=1, "address-burst";r=412;t=1
 *
 * Both fields count whole seconds. Rounding is to the safe side: windows and waits up, quotas down.
 */
import type { Decision, Rate } from '@shop/redis-kit/rate-limit'

export interface LimitReport {
  /** Printable ASCII, the same on every response: 'address', 'sign-in'. Never an address or a user id. */
  name: string
  policy: Rate & { burst: number }
  decision: Decision
}

/** One entry of both fields. */
interface Item {
  name: string
  quota: number
  windowSeconds: number
  decision: Decision
}

/** The largest Integer of RFC 9651. */
const MAX_INTEGER = 999_999_999_999_999

/**
 * The headers for one response, by lower-case name, from every policy that was asked. A degraded decision reports its policy only: what
 * remains is not known. Throws RangeError for a name that is no String of RFC 9651, and for two items of one name.
 */
export function rateLimitHeaders(reports: readonly LimitReport[]): Record<string, string> {
  if (reports.length === 0) return {}
  const items = reports.flatMap(itemsOf)
  requireDistinct(items)
  const headers: Record<string, string> = { 'ratelimit-policy': items.map(policyText).join(', ') }
  const retrySeconds = retryAfterSeconds(reports)
  const known = items.filter(({ decision }) => !decision.degraded)
  if (known.length > 0) headers.ratelimit = known.map((item) => stateText(item, retrySeconds)).join(', ')
  if (retrySeconds !== undefined) headers['retry-after'] = String(retrySeconds)
  return headers
}

/**
 * The sustained rate, and the burst with the time in which it refills, unless both are the same. A period that is not whole seconds is
 * announced as the next longer window: 5 per 100 ms is 50 per second with a burst of 5.
 */
function itemsOf({ name, policy: { count, periodMs, burst }, decision }: LimitReport): Item[] {
  const windowSeconds = wholeSeconds(periodMs)
  const quota = Math.min(MAX_INTEGER, Math.floor((count * windowSeconds * 1000) / periodMs))
  const sustained: Item = { name, quota, windowSeconds, decision }
  if (burst === quota) return [sustained]
  const refillSeconds = wholeSeconds((burst * periodMs) / count)
  return [sustained, { name: `${name}-burst`, quota: burst, windowSeconds: refillSeconds, decision }]
}

/** The longest wait of all refusals; undefined when nothing refused, and when no wait helps one of them. */
function retryAfterSeconds(reports: readonly LimitReport[]): number | undefined {
  const waitsMs = reports.map(({ decision }) => decision.retryAfterMs)
  const longestMs = Math.max(...waitsMs)
  return longestMs > 0 && Math.min(...waitsMs) >= 0 ? wholeSeconds(longestMs) : undefined
}

function policyText({ name, quota, windowSeconds }: Item): string {
  return `${quoted(name)};q=${quota};w=${windowSeconds}`
}

/**
 * A client alone that uses up to `r` within `t` seconds is admitted. After a refusal `t` is the wait. Otherwise it ends with the window,
 * and never after Retry-After: an admitting policy must not make the client wait longer than the one that refused.
 */
function stateText({ name, quota, windowSeconds, decision }: Item, retrySeconds = MAX_INTEGER): string {
  const { allowed, remaining, retryAfterMs, resetAfterMs } = decision
  const isWait = !allowed && retryAfterMs >= 0
  const seconds = isWait ? wholeSeconds(retryAfterMs) : Math.min(wholeSeconds(resetAfterMs), windowSeconds)
  return `${quoted(name)};r=${Math.min(Math.max(0, remaining), quota)};t=${Math.min(seconds, retrySeconds)}`
}

function wholeSeconds(ms: number): number {
  return Math.min(MAX_INTEGER, Math.ceil(ms / 1000))
}

/** A client looks a policy up by its name. */
function requireDistinct(items: readonly Item[]) {
  const names = new Set(items.map(({ name }) => name))
  if (names.size === items.length) return
  throw new RangeError(`two policies of one name: ${items.map(({ name }) => JSON.stringify(name)).join(', ')}`)
}

/** A String of RFC 9651. */
function quoted(name: string): string {
  if (!/^[\x20-\x7e]+$/.test(name)) throw new RangeError(`not a name for a header: ${JSON.stringify(name)}`)
  return `"${name.replace(/["\\]/g, '\\$&')}"`
}
