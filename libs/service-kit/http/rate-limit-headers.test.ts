import type { Decision } from '@shop/redis-kit/rate-limit'
import { type Item, parseItem, parseList } from 'structured-headers'
import { describe, expect, test } from 'vitest'
import { type LimitReport, rateLimitHeaders } from './rate-limit-headers.ts'

/** Whole numbers that look random and are the same on every run. */
function numbers(seed: number) {
  return (n: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * n)
  }
}

const names = ['ip', 'sign-in', 'per "tenant"', 'back\\slash', 'a;q=1, "b"', '~ !']

function decisionOf(pick: (n: number) => number): Decision {
  const allowed = pick(2) === 0
  const retryAfterMs = allowed ? 0 : 1 + pick(10 ** pick(8))
  const resetAfterMs = retryAfterMs + pick(10 ** pick(8))
  return { allowed, limitCount: 1, remaining: pick(1000), retryAfterMs, resetAfterMs, degraded: false }
}

function reportsOf(pick: (n: number) => number): LimitReport[] {
  return names
    .filter(() => pick(2) === 0)
    .map((name) => ({
      name,
      policy: { count: 1 + pick(10 ** pick(6)), periodMs: 1 + pick(10 ** pick(8)) },
      decision: decisionOf(pick),
    }))
}

const parameters = (item: Item | unknown) => (item as Item)[1]

describe('the headers', () => {
  test.each([1, 2, 3, 4, 5])(
    'are Lists of RFC 9651 that say what was decided, rounded to the safe side (seed %i)',
    (seed) => {
      const pick = numbers(seed)
      for (let round = 0; round < 150; round++) {
        const reports = reportsOf(pick)
        const headers = rateLimitHeaders(reports)
        const policies = parseList(headers['ratelimit-policy'] ?? '')
        const states = parseList(headers.ratelimit ?? '')
        expect(policies.map(([name]) => name)).toEqual(reports.map(({ name }) => name))
        expect(states.map(([name]) => name)).toEqual(reports.map(({ name }) => name))
        for (const [index, { policy, decision }] of reports.entries()) {
          const { q, w } = Object.fromEntries(parameters(policies[index])) as Record<string, number>
          const { r, t } = Object.fromEntries(parameters(states[index])) as Record<string, number>
          expect([q, w, r, t].every(Number.isInteger)).toBe(true)
          expect(w).toBeGreaterThan(0)
          expect(q).toBeGreaterThan(0)
          expect((q as number) / (w as number)).toBeLessThanOrEqual((policy.count * 1000) / policy.periodMs)
          expect(r).toBe(decision.remaining)
          expect((t as number) * 1000).toBeGreaterThanOrEqual(decision.retryAfterMs)
        }
        const denied = reports.filter(({ decision }) => !decision.allowed)
        if (denied.length === 0) expect(headers['retry-after']).toBeUndefined()
        else {
          const [seconds] = parseItem(headers['retry-after'] ?? '')
          expect(seconds).toSatisfy(Number.isInteger)
          for (const { name, decision } of denied) {
            expect((seconds as number) * 1000).toBeGreaterThanOrEqual(decision.retryAfterMs)
            const state = states.find(([other]) => other === name)
            expect(seconds).toBeGreaterThanOrEqual(parameters(state).get('t') as number)
          }
        }
      }
    },
  )

  const report = (decision: Partial<Decision>, policy = { count: 100, periodMs: 60_000 }): LimitReport => ({
    name: 'ip',
    policy,
    decision: {
      allowed: true,
      limitCount: 100,
      remaining: 50,
      retryAfterMs: 0,
      resetAfterMs: 29_001,
      degraded: false,
      ...decision,
    },
  })

  test('look like the draft says', () => {
    expect(rateLimitHeaders([report({})])).toEqual({
      'ratelimit-policy': '"ip";q=100;w=60',
      ratelimit: '"ip";r=50;t=30',
    })
    expect(rateLimitHeaders([report({ allowed: false, remaining: 0, retryAfterMs: 1 })])).toEqual({
      'ratelimit-policy': '"ip";q=100;w=60',
      ratelimit: '"ip";r=0;t=1',
      'retry-after': '1',
    })
  })

  test('tell a window of less than a second per whole second', () => {
    const headers = rateLimitHeaders([report({}, { count: 5, periodMs: 100 })])
    expect(headers['ratelimit-policy']).toBe('"ip";q=50;w=1')
  })

  test('of a degraded decision claim no remaining quota', () => {
    const headers = rateLimitHeaders([report({ allowed: false, retryAfterMs: 1000, degraded: true })])
    expect(headers).toEqual({ 'ratelimit-policy': '"ip";q=100;w=60', 'retry-after': '1' })
  })

  test('promise no retry to what can never succeed', () => {
    expect(rateLimitHeaders([report({ allowed: false, retryAfterMs: -1 })])['retry-after']).toBeUndefined()
  })

  test('are none when nothing was limited', () => {
    expect(rateLimitHeaders([])).toEqual({})
  })

  test('are refused for a name that no header can carry', () => {
    expect(() => rateLimitHeaders([{ ...report({}), name: 'Größe' }])).toThrow('not a name')
    expect(() => rateLimitHeaders([{ ...report({}), name: 'a\r\nset-cookie: x' }])).toThrow('not a name')
  })
})
