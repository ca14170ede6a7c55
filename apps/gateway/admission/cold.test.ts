/** The first requests of a gateway that has just started. */
import { type FaultProxy, startFaultProxy } from '@shop/test-kit/fault-proxy'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { startGateway } from '../gateway.fixture.ts'

const gateway = await startGateway()
afterAll(gateway.stop)

/** A further gateway whose ways to the servers are proxies. `sabotage` comes before it starts. */
async function startBehind(sabotage: (proxies: { cache: FaultProxy; state: FaultProxy }) => void) {
  const cache = await startFaultProxy({ port: gateway.cache.port })
  const state = await startFaultProxy({ port: gateway.state.port })
  for (const { stop } of [cache, state]) onTestFinished(stop)
  sabotage({ cache, state })
  const { url, metrics } = await gateway.addGateway({
    REDIS_CACHE_URL: cache.via(gateway.cache.urlAs('gateway')),
    REDIS_STATE_URL: state.via(gateway.state.urlAs('gateway')),
  })
  return { url, metrics, cache, state }
}

// On a loaded machine any decision may be late, hence the retries. Without a warm-up each of them fails.
test('Redis decides the first of them, however slow its first answers were', { retry: 3 }, async () => {
  const { url, cache } = await startBehind((proxies) => proxies.cache.delay(150))
  cache.delay(0)
  const { status, headers } = await fetch(`${url}/api/products`)
  expect(status).toBe(200)
  expect(headers.get('ratelimit')).toContain('"address";r=') // a decision without Redis tells nothing of what remains
})

test('a gateway starts without Redis, and counts no decision before the first request', async () => {
  const { url, metrics } = await startBehind(({ cache, state }) => {
    cache.blackHole()
    state.blackHole()
  })
  expect((await metrics.page()).text).not.toMatch(/^rate_limit_decisions_total\{.*\} [1-9]/m)
  expect((await fetch(`${url}/health/live`)).status).toBe(200)
})
