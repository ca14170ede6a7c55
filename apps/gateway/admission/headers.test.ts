/** What clients read about their limits, on every kind of answer. */
import { randomUUID } from 'node:crypto'
import { type Parameters, parseList } from 'structured-headers'
import { afterAll, describe, expect, test } from 'vitest'
import { startGateway } from '../gateway.fixture.ts'
import { policyFile } from '../limits/policies.fixture.ts'

interface Item {
  name: string
  parameters: Parameters
}

/** Throws for what is not a List of RFC 9651. */
function itemsOf(header: string | null): Item[] {
  return parseList(header ?? '').map(([name, parameters]) => {
    if (typeof name !== 'string') throw new TypeError('the name is not a String')
    return { name, parameters }
  })
}

describe('every answer', async () => {
  const gateway = await startGateway({
    RATE_LIMIT_FILE: policyFile({ address: { limit: '1 per 1h', burst: 40 }, user: { limit: '1 per 1h', burst: 4 } }),
  })
  afterAll(gateway.stop)
  const { id } = await gateway.sessions.create({ userId: randomUUID(), fields: { role: 'customer' } })
  const cookie = `shop_session=${id}`

  const requests: [what: string, path: string, init: RequestInit, status: number][] = [
    ['a page', '/api/products', {}, 200],
    ['HEAD', '/api/products', { method: 'HEAD' }, 200],
    ['a page of one user', '/api/orders', { headers: { cookie } }, 200],
    ['an unknown path', '/api/nowhere', {}, 404],
    ['a wrong method', '/api/products', { method: 'PUT' }, 405],
    [
      'a page of another origin',
      '/api/cart/items/x',
      { method: 'PUT', headers: { origin: 'https://evil.example' } },
      403,
    ],
    ['a body that is too large', '/api/sessions', { method: 'POST', body: 'x'.repeat(20_000) }, 413],
    ['the description', '/docs/json', {}, 200],
    ['the console', '/api/console/limits', {}, 401],
  ]

  test.each(requests)(
    '%s names its policies, with no more left than their quota',
    async (_what, path, init, status) => {
      const response = await ask(path, init)
      const { headers } = response
      expect(response.status).toBe(status)
      const policies = itemsOf(headers.get('ratelimit-policy'))
      const states = itemsOf(headers.get('ratelimit'))
      expect(states.length).toBeGreaterThan(0)
      for (const { name, parameters } of states) {
        const policy = policies.find((one) => one.name === name)
        expect(Number(parameters.get('r'))).toBeLessThanOrEqual(Number(policy?.parameters.get('q')))
      }
      expect(policies.every(({ parameters }) => Number(parameters.get('w')) >= 1)).toBe(true)
    },
  )

  test('an answer of health has no limits', async () => {
    const { status, headers } = await ask('/health/live', {})
    expect([status, headers.get('ratelimit-policy')]).toEqual([200, null])
  })

  test('a page of one user has the policies of address, route, user and no other', async () => {
    const { headers } = await ask('/api/orders', { headers: { cookie } })
    expect(new Set(itemsOf(headers.get('ratelimit-policy')).map(({ name }) => name.replace(/-burst$/, '')))).toEqual(
      new Set(['address', 'user', 'route']),
    )
  })

  test('a refusal has none left, and Retry-After is not before t', async () => {
    let refused = await ask('/api/orders', { headers: { cookie } })
    while (refused.status === 200) refused = await ask('/api/orders', { headers: { cookie } })
    const states = itemsOf(refused.headers.get('ratelimit'))
    const user = states.find(({ name }) => name === 'user')
    expect([refused.status, user?.parameters.get('r')]).toEqual([429, 0])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(Number(user?.parameters.get('t')))
  })

  async function ask(path: string, init: RequestInit) {
    const response = await fetch(gateway.url + path, init)
    await response.arrayBuffer()
    return response
  }
})

describe('Retry-After', async () => {
  const gateway = await startGateway({
    TRUST_PROXY: '1',
    RATE_LIMIT_FILE: policyFile({ address: { limit: '2 per 1s', burst: 2, onUnavailable: 'closed' } }),
  })
  afterAll(gateway.stop)

  test('is long enough, 100 times of 100', async () => {
    const clients = Array.from({ length: 100 }, (_, i) => `203.0.113.${i + 1}`)
    const outcomes = await Promise.all(clients.map(waitAsTold))
    expect(outcomes.filter(({ refused }) => refused === 429)).toHaveLength(100)
    expect(outcomes.filter(({ after }) => after === 200)).toHaveLength(100)
  }, 60_000)

  /** Asks until it is refused by Redis, and waits. An answer without the policy came too late from Redis: it decides nothing. */
  async function waitAsTold(address: string) {
    const ask = async () => {
      const response = await fetch(`${gateway.url}/api/products`, { headers: { 'x-forwarded-for': address } })
      await response.arrayBuffer()
      const isKnown = itemsOf(response.headers.get('ratelimit')).some(({ name }) => name === 'address')
      return { status: response.status, isKnown, waitMs: Number(response.headers.get('retry-after')) * 1000 }
    }
    const until = async (isWanted: (answer: Awaited<ReturnType<typeof ask>>) => boolean) => {
      for (let i = 0; i < 1_000; i++) {
        const answer = await ask()
        if (answer.isKnown && isWanted(answer)) return answer
      }
      throw new Error('no such answer')
    }
    const refused = await until(({ status }) => status === 429)
    await new Promise((resolve) => setTimeout(resolve, refused.waitMs))
    return { refused: refused.status, after: (await until(() => true)).status }
  }
})
