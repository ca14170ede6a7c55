/** How a request is answered that its limits refuse: those that it exceeds, and those that fail closed. */
import type { ServerResponse } from 'node:http'
import type { Policy } from '@shop/redis-kit/rate-limit'
import type { NamedDecision } from '@shop/redis-kit/rate-limit/dimensions'
import { rateLimitHeaders } from '@shop/service-kit/http/rate-limit-headers'
import type { Metrics } from '@shop/service-kit/telemetry/metrics'
import { errors } from '../errors.ts'
import { createRefusal } from './refusal.ts'
import type { Reason, Tally } from './tally.ts'

/** @param headers further ones of the answer */
export type Deny = (response: ServerResponse, decisions: NamedDecision[], headers: Record<string, string>) => void

/** Headers remembered for one policy. */
const MAX_TEXTS = 100

/** `limits-unavailable` is not the caller's doing: a server error. */
const errorOf = { 'rate-limit': errors.tooManyRequests, 'limits-unavailable': errors.limitsUnavailable }

export function createDeny(
  reason: Reason & keyof typeof errorOf,
  { tally, metrics }: { tally: Tally; metrics: Metrics },
): Deny {
  const refuse = createRefusal(errorOf[reason](), metrics)
  const headersOf = createDenialHeaders()
  return function deny(response, decisions, headers) {
    const denied = decisions.find(({ decision }) => !decision.allowed)
    tally.count(reason, denied?.name ?? 'none')
    refuse(response, { ...headers, ...headersOf(decisions) })
  }
}

/** In a flood the same few numbers come again and again, and to make their text takes a tenth of the answer. */
function createDenialHeaders() {
  const ofPolicies = new WeakMap<Policy, Map<string, Record<string, string>>>()
  return function headersOf(decisions: NamedDecision[]): Record<string, string> {
    const [first, second] = decisions
    if (first === undefined || second !== undefined) return rateLimitHeaders(decisions)
    const texts = ofPolicies.get(first.policy) ?? new Map<string, Record<string, string>>()
    const key = numbersOf(first)
    const known = texts.get(key)
    if (known) return known
    if (texts.size >= MAX_TEXTS) texts.clear()
    const headers = rateLimitHeaders(decisions)
    ofPolicies.set(first.policy, texts.set(key, headers))
    return headers
  }
}

/** All of a decision that headers tell. */
function numbersOf({ decision }: NamedDecision): string {
  const { allowed, degraded, remaining, retryAfterMs, resetAfterMs } = decision
  return `${allowed} ${degraded} ${remaining} ${Math.ceil(retryAfterMs / 1000)} ${Math.ceil(resetAfterMs / 1000)}`
}
