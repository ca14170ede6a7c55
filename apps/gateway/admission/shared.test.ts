/** Limits that several gateways and several dimensions share, asked over HTTP. */
import { randomUUID } from 'node:crypto'
import { countCommands } from '@shop/test-kit/redis/command-counter'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { startGatewayProcess } from '../gateway.fixture.ts'
import { policyFile } from '../limits/policies.fixture.ts'

/** Nothing comes back while a test runs. */
const slowly = '1 per 1h'

async function ask(url: string, headers: Record<string, string>, path = '/api/products') {
  const response = await fetch(url + path, { headers, signal: AbortSignal.timeout(20_000) })
  await response.arrayBuffer()
  return { status: response.status, limits: response.headers.get('ratelimit') ?? '' }
}

/** Of the address. NaN when Redis had no part in the decision. */
const leftOf = ({ limits }: { limits: string }) => Number(/"address-burst";r=(\d+)/.exec(limits)?.[1])

describe('four gateways', async () => {
  const burst = 40
  const RATE_LIMIT_FILE = policyFile({ address: { limit: slowly, burst, onUnavailable: 'closed' } })
  const first = await startGatewayProcess({ RATE_LIMIT_FILE, TRUST_PROXY: '1' })
  afterAll(first.stop)
  const others = await Promise.all([first.addGateway(), first.addGateway(), first.addGateway()])
  const urls = [first.url, ...others.map(({ url }) => url)]

  /** Many at once, over all gateways. A decision that Redis had no part in is not in the header. */
  async function rush(address: string) {
    const headers = { 'x-forwarded-for': address }
    const answers = await Promise.all(Array.from({ length: 4 * burst }, (_, i) => ask(urls[i % 4] as string, headers)))
    return {
      admitted: answers.filter(({ status }) => status === 200).length,
      isDegraded: answers.some(({ limits }) => !limits.includes('"address"')),
    }
  }

  test('share one limit exactly', async () => {
    // The machine may be so busy that a decision is late. Such a round admits no more, and the next is asked.
    for (let round = 1; round <= 20; round++) {
      const { admitted, isDegraded } = await rush(`203.0.113.${round}`)
      expect(admitted).toBeLessThanOrEqual(burst)
      if (isDegraded) continue
      expect(admitted).toBe(burst)
      return
    }
    throw new Error('no round without a late decision')
  })
})

describe('a user who is over the limit of users', async () => {
  const burst = 3
  const gateway = await startGatewayProcess({
    TRUST_PROXY: '1',
    RATE_LIMIT_FILE: policyFile({
      address: { limit: slowly, burst: 50, onUnavailable: 'closed' },
      user: { limit: slowly, burst, onUnavailable: 'closed' },
    }),
  })
  afterAll(gateway.stop)

  test('is refused 1,000 times, and the address is uncharged', async () => {
    // The first refusal is of Redis, and gives the charge of the address back; this process knows the others.
    for (let round = 1; round <= 20; round++) {
      const address = { 'x-forwarded-for': `203.0.113.${round}` }
      const { id } = await gateway.sessions.create({ userId: randomUUID(), fields: { role: 'customer' } })
      const asUser = () => ask(gateway.url, { ...address, cookie: `shop_session=${id}` }, '/api/orders')
      const used = []
      for (let i = 0; i < burst; i++) used.push(await asUser())
      const before = leftOf(await ask(gateway.url, address))
      const first = await asUser()
      // As above: a decision that came too late is not in the header, and says nothing of a charge.
      if (Number.isNaN(before) || [...used, first].some((answer) => Number.isNaN(leftOf(answer)))) continue
      expect(first.status).toBe(429)
      for (let i = 0; i < 50; i++) {
        const answers = await Promise.all(Array.from({ length: 20 }, asUser))
        expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(429))
      }
      const after = leftOf(await ask(gateway.url, address))
      if (Number.isNaN(after)) continue
      expect(after).toBe(before - 1)
      return
    }
    throw new Error('no round without a late decision')
  })
})

describe('a request of a signed-in user', async () => {
  const gateway = await startGatewayProcess({
    RATE_LIMIT_FILE: policyFile({ address: { limit: slowly, burst: 50, onUnavailable: 'closed' } }),
  })
  afterAll(gateway.stop)
  const { id } = await gateway.sessions.create({ userId: randomUUID(), fields: { role: 'customer' } })
  const headers = { cookie: `shop_session=${id}` }

  test('loads the session once', async () => {
    await ask(gateway.url, headers, '/api/orders')
    const commands = await countCommands(gateway.state.url)
    onTestFinished(commands.close)
    for (let i = 0; i < 10; i++) await ask(gateway.url, headers, '/api/orders')
    const { sentCount: withSession } = await commands.take()
    for (let i = 0; i < 10; i++) await ask(gateway.url, {}, '/api/orders')
    const { sentCount: without } = await commands.take()
    expect(withSession - without).toBeLessThan(20)
  })

  test('is charged to its address while sessions are out of reach', async () => {
    const before = leftOf(await ask(gateway.url, {}))
    await gateway.state.kill('SIGKILL')
    for (let i = 0; i < 3; i++) expect((await ask(gateway.url, headers, '/api/orders')).status).toBe(503)
    expect(leftOf(await ask(gateway.url, {}))).toBe(before - 4)
  })
})
