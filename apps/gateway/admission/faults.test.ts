/** Redis servers that fail, seen over HTTP: answers come, each policy fails as it says, and nothing is a 500. */
import { randomUUID } from 'node:crypto'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startGateway } from '../gateway.fixture.ts'
import { policyFile } from '../limits/policies.fixture.ts'

/** One policy of each kind in each Redis: what browsing, carts and signing in do while it is away shows how it fails. */
const RATE_LIMIT_FILE = policyFile({ address: { limit: '1 per 1h', burst: 100 } }, (file) => {
  const policy = (name: string, role: string, onUnavailable: string) => {
    return { name, algorithm: 'gcra', limit: '1 per 1h', burst: 100, role, onUnavailable }
  }
  file.rules = [
    { routes: ['browse'], dimension: 'address', policies: [policy('cache-local', 'cache', 'local')] },
    { routes: ['docs'], dimension: 'address', policies: [policy('cache-open', 'cache', 'open')] },
    { routes: ['unknown'], dimension: 'address', policies: [policy('cache-closed', 'cache', 'closed')] },
    { routes: ['register'], dimension: 'address', policies: [policy('state-open', 'state', 'open')] },
    { routes: ['sign-in'], dimension: 'address', policies: [policy('state-closed', 'state', 'closed')] },
    { routes: 'all', dimension: 'address', policies: [policy('state-local', 'state', 'local')] },
    ...file.rules.filter(({ dimension }) => dimension === 'api-key'),
  ]
})

const asks = {
  cache: { local: ['GET', '/api/products'], open: ['GET', '/docs/json'], closed: ['GET', '/api/nowhere'] },
  state: { local: ['GET', '/api/cart'], open: ['POST', '/api/users'], closed: ['POST', '/api/sessions'] },
} as const
/** What is answered while Redis decides. */
const usual = { cache: { local: 200, open: 200, closed: 404 }, state: { local: 200, open: 200, closed: 200 } }

/** A policy without Redis is announced, and nothing is said of what remains. */
const unavailable = (policy: string) => ({
  status: 503,
  code: 'limits-unavailable',
  policy: `"${policy}";q=1;w=3600, "${policy}-burst";q=100;w=360000`,
  state: null,
  retryAfter: '1',
})

describe.each(['cache', 'state'] as const)('with the %s Redis', async (role) => {
  const other = role === 'cache' ? 'state' : 'cache'
  let gateway: Awaited<ReturnType<typeof startGateway>>
  let proxy: FaultProxy
  let url: string
  let metrics: typeof gateway.metrics

  beforeAll(async () => {
    gateway = await startGateway({ RATE_LIMIT_FILE })
    proxy = await startFaultProxy({ port: gateway[role].port })
    const name = role === 'cache' ? 'REDIS_CACHE_URL' : 'REDIS_STATE_URL'
    const behind = await gateway.addGateway({ [name]: proxy.via(gateway[role].urlAs('gateway')) })
    url = behind.url
    metrics = behind.metrics
  })
  afterAll(async () => {
    await proxy.refuse()
    await gateway.stop()
    await proxy.stop()
  })

  const faults: [what: string, begin: () => unknown, end: () => unknown][] = [
    ['black-holed', () => proxy.blackHole(), () => proxy.heal()],
    ['refusing connections', () => proxy.refuse(), () => proxy.heal()],
    ['refusing writes', () => setMinReplicas(1), () => setMinReplicas(0)],
    ['restarting', () => gateway[role].kill('SIGKILL'), () => gateway[role].restart()],
  ]

  test.each(faults)(
    '%s its policies fail as they say, those of the other decide, and it is over afterwards',
    async (_what, begin, end) => {
      await vi.waitFor(async () => expect(await statuses(role)).toEqual(usual[role]), { timeout: 20_000 })
      const degradedBefore = await degradedCount()
      await begin()
      await vi.waitFor(async () => expect(await statuses(role)).toEqual({ ...usual[role], closed: 503 }), {
        timeout: 20_000,
      })
      expect(await closedAnswer()).toEqual(unavailable(`${role}-closed`))
      expect(await degradedCount()).toBeGreaterThanOrEqual(degradedBefore + 3)
      // On a loaded machine a decision may be late.
      await vi.waitFor(async () => expect((await statuses(other)).closed).toBe(usual[other].closed), {
        timeout: 20_000,
      })
      expect(await health()).toBe('degraded')
      await end()
      await vi.waitFor(async () => expect(await statuses(role)).toEqual(usual[role]), { timeout: 20_000 })
    },
    60_000,
  )

  /** One request for each way to fail. None of them is a 500, whatever happens. */
  async function statuses(of: 'cache' | 'state') {
    const entries = Object.entries(asks[of]).map(async ([kind, [method, path]]) => {
      const init = { method, body: method === 'POST' ? '{}' : null, signal: AbortSignal.timeout(10_000) }
      const response = await fetch(url + path, init)
      await response.arrayBuffer()
      expect(response.status).not.toBe(500)
      return [kind, response.status] as const
    })
    return Object.fromEntries(await Promise.all(entries)) as Record<'local' | 'open' | 'closed', number>
  }

  /** What a client learns from a policy that fails closed. */
  async function closedAnswer() {
    const [method, path] = asks[role].closed
    const response = await fetch(url + path, { method, signal: AbortSignal.timeout(10_000) })
    const { code } = (await response.json()) as { code: string }
    const [policy, state, retryAfter] = ['ratelimit-policy', 'ratelimit', 'retry-after'].map((name) =>
      response.headers.get(name),
    )
    return { status: response.status, code, policy, state, retryAfter }
  }

  async function degradedCount(): Promise<number> {
    const { text } = await metrics.page()
    const lines = [...text.matchAll(/^rate_limit_decisions_total\{[^}]*degraded="true"[^}]*\} (\d+)$/gm)]
    return lines.reduce((sum, [, count]) => sum + Number(count), 0)
  }

  async function health(): Promise<string> {
    return ((await (await fetch(`${url}/health/ready`)).json()) as { status: string }).status
  }

  async function setMinReplicas(count: number) {
    const redis = connectRedis(gateway[role].url, { name: `test-${randomUUID()}` })
    await whenReady(redis, 5_000)
    await redis.config('SET', 'min-replicas-to-write', String(count))
    await closeRedis(redis)
  }
})
