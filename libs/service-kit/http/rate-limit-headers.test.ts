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
const algorithms = ['gcra', 'token-bucket', 'fixed-window', 'sliding-window-counter', 'sliding-window-log'] as const
const maxPeriodMs = 366 * 24 * 60 * 60 * 1000
const maxInteger = 999_999_999_999_999

/** From a millisecond to a year; often not whole seconds, and sometimes not whole milliseconds. */
function policyOf(pick: (n: number) => number): LimitReport['policy'] {
  const count = 1 + pick(10 ** pick(7))
  const periodMs = Math.min(maxPeriodMs, [1, 0.5, 1000, 86_400_000][pick(4)] as number) * (1 + pick(10 ** pick(4)))
  const algorithm = algorithms[pick(algorithms.length)] as (typeof algorithms)[number]
  const hasBurst = algorithm === 'gcra' || algorithm === 'token-bucket'
  return { count, periodMs: Math.min(maxPeriodMs, periodMs), burst: hasBurst ? 1 + pick(10 ** pick(7)) : count }
}

function decisionOf(pick: (n: number) => number, { count, burst }: LimitReport['policy']): Decision {
  const allowed = pick(2) === 0
  const isHopeless = !allowed && pick(8) === 0
  const retryAfterMs = allowed ? 0 : isHopeless ? -1 : 1 + pick(10 ** pick(11))
  const resetAfterMs = Math.max(0, retryAfterMs) + pick(10 ** pick(11))
  const remaining = pick(burst + 1)
  return { allowed, limitCount: count, remaining, retryAfterMs, resetAfterMs, degraded: pick(6) === 0 }
}

function reportsOf(pick: (n: number) => number): LimitReport[] {
  return names
    .filter(() => pick(2) === 0)
    .map((name) => {
      const policy = policyOf(pick)
      return { name, policy, decision: decisionOf(pick, policy) }
    })
}

interface Numbers {
  q?: number
  w?: number
  r?: number
  t?: number
}

const isInteger = (value: number | undefined, min: number) =>
  Number.isInteger(value) && Number(value) >= min && Number(value) <= maxInteger

/** A List of RFC 9651 by the name of its items, which are Strings. */
function itemsOf(field = ''): Map<string, Numbers> {
  const items = parseList(field).map((item) => {
    const [name, parameters] = item as Item
    expect(name).toBeTypeOf('string')
    return [name as string, Object.fromEntries(parameters) as Numbers] as const
  })
  expect(new Set(items.map(([name]) => name)).size).toBe(items.length)
  return new Map(items)
}

function expectWithinBounds(policies: Map<string, Numbers>, states: Map<string, Numbers>) {
  for (const { q, w } of policies.values()) expect(isInteger(q, 1) && isInteger(w, 1)).toBe(true)
  for (const [name, { r, t }] of states) {
    expect(isInteger(r, 0) && isInteger(t, 0)).toBe(true)
    expect(r).toBeLessThanOrEqual(policies.get(name)?.q as number)
  }
}

describe('the headers', () => {
  test.each([1, 2, 3, 4, 5])(
    'are Lists of RFC 9651 that say what was decided, rounded to the safe side (seed %i)',
    (seed) => {
      const pick = numbers(seed)
      for (let round = 0; round < 400; round++) {
        const reports = reportsOf(pick)
        const headers = rateLimitHeaders(reports)
        const policies = itemsOf(headers['ratelimit-policy'])
        const states = itemsOf(headers.ratelimit)
        expectWithinBounds(policies, states)
        expect([...policies.keys()].filter((name) => !name.endsWith('-burst'))).toEqual(reports.map(({ name }) => name))
        for (const { name, policy, decision } of reports) {
          const { q = 0, w = 0 } = policies.get(name) ?? {}
          const burst = policies.get(`${name}-burst`) ?? { q, w }
          expect(q / w).toBeLessThanOrEqual((policy.count * 1000) / policy.periodMs)
          expect(burst.q).toBe(policy.burst)
          expect((burst.w as number) * 1000).toBeGreaterThanOrEqual((policy.burst * policy.periodMs) / policy.count)
          if (decision.degraded) {
            expect(states.has(name) || states.has(`${name}-burst`)).toBe(false)
            continue
          }
          const { r, t = 0 } = states.get(name) ?? {}
          expect(r).toBe(Math.min(decision.remaining, q))
          expect((states.get(`${name}-burst`) ?? states.get(name))?.r).toBe(decision.remaining)
          expect(t * 1000).toBeGreaterThanOrEqual(decision.retryAfterMs)
        }
        const denied = reports.filter(({ decision }) => !decision.allowed)
        const isHopeless = denied.some(({ decision }) => decision.retryAfterMs < 0)
        if (denied.length === 0 || isHopeless) {
          expect(headers['retry-after']).toBeUndefined()
          continue
        }
        const [seconds] = parseItem(headers['retry-after'] ?? '')
        expect(seconds).toSatisfy(Number.isInteger)
        for (const { decision } of denied)
          expect((seconds as number) * 1000).toBeGreaterThanOrEqual(decision.retryAfterMs)
        for (const { t } of states.values()) expect(seconds).toBeGreaterThanOrEqual(t as number)
      }
    },
  )

  const report = (
    decision: Partial<Decision>,
    policy: LimitReport['policy'] = { count: 100, periodMs: 60_000, burst: 100 },
  ): LimitReport => ({
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
    const headers = rateLimitHeaders([report({ remaining: 3 }, { count: 5, periodMs: 100, burst: 5 })])
    expect(headers['ratelimit-policy']).toBe('"ip";q=50;w=1, "ip-burst";q=5;w=1')
    expect(headers.ratelimit).toBe('"ip";r=3;t=1, "ip-burst";r=3;t=1')
  })

  test('tell a period that is not whole seconds as the next longer window, and the quota rounded down', () => {
    const headers = rateLimitHeaders([report({ remaining: 2 }, { count: 3, periodMs: 2500, burst: 3 })])
    expect(headers['ratelimit-policy']).toBe('"ip";q=3;w=3')
  })

  test('tell the burst as an item of its own, so that no remaining quota is above its quota', () => {
    const headers = rateLimitHeaders([
      report({ remaining: 412, resetAfterMs: 940 }, { count: 200, periodMs: 1000, burst: 600 }),
    ])
    expect(headers).toEqual({
      'ratelimit-policy': '"ip";q=200;w=1, "ip-burst";q=600;w=3',
      ratelimit: '"ip";r=200;t=1, "ip-burst";r=412;t=1',
    })
  })

  test('tell a quota of a month and of a year', () => {
    const policies = [31, 366].map((days) => ({ count: 5, periodMs: days * 86_400_000, burst: 5 }))
    const [month, year] = policies.map((policy) => rateLimitHeaders([report({ remaining: 5 }, policy)]))
    expect(month?.['ratelimit-policy']).toBe('"ip";q=5;w=2678400')
    expect(year?.['ratelimit-policy']).toBe('"ip";q=5;w=31622400')
  })

  test('of a refusal name every policy, and no window ends after Retry-After', () => {
    const daily = { name: 'daily', policy: { count: 1000, periodMs: 86_400_000, burst: 1000 } }
    const decision = { limitCount: 1000, remaining: 700, retryAfterMs: 0, resetAfterMs: 80_000_000, degraded: false }
    expect(
      rateLimitHeaders([
        report({ allowed: false, remaining: 0, retryAfterMs: 1_200 }),
        { ...daily, decision: { ...decision, allowed: true } },
      ]),
    ).toEqual({
      'ratelimit-policy': '"ip";q=100;w=60, "daily";q=1000;w=86400',
      ratelimit: '"ip";r=0;t=2, "daily";r=700;t=2',
      'retry-after': '2',
    })
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
    expect(() => rateLimitHeaders([{ ...report({}), name: '' }])).toThrow('not a name')
  })

  test('are refused for two items of one name', () => {
    expect(() => rateLimitHeaders([report({}), report({})])).toThrow('two policies of one name')
    const burst = report({}, { count: 1, periodMs: 1000, burst: 5 })
    expect(() => rateLimitHeaders([burst, { ...report({}), name: 'ip-burst' }])).toThrow('two policies of one name')
  })
})
