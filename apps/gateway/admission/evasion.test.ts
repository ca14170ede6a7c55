/** Clients that claim or change addresses, through chains of real proxies. */
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, test } from 'vitest'
import { startGateway } from '../gateway.fixture.ts'
import { policyFile } from '../limits/policies.fixture.ts'

const burst = 5
const RATE_LIMIT_FILE = policyFile({ address: { limit: '1 per 1h', burst, onUnavailable: 'closed' } })

/** What an evader writes into X-Forwarded-For: the next one each time. */
const claims: Record<string, (i: number) => string> = {
  'another address each time': (i) => `198.51.100.${i}`,
  'a list that is longer each time': (i) => Array.from({ length: i + 1 }, (_, j) => `198.51.100.${j}`).join(', '),
  'an address of IPv6 each time': (i) => `2001:db8::${i.toString(16)}`,
  'no address at all': (i) => `x${i}`,
  'commas and spaces': (i) => `${','.repeat(i)} ,`,
  'addresses of trusted proxies': (i) => `127.0.0.1, 127.0.0.${i + 1}`,
}

describe.each([0, 1, 2])('with %i trusted proxies', async (proxyCount) => {
  const settings = proxyCount === 0 ? [''] : [String(proxyCount), 'loopback']

  describe.each(settings)('as TRUST_PROXY=%j', async (TRUST_PROXY) => {
    const gateway = await startGateway({ RATE_LIMIT_FILE, TRUST_PROXY })
    const proxies: Awaited<ReturnType<typeof startProxy>>[] = []
    let port = Number(new URL(gateway.url).port)
    // The first proxy sees clients of other networks: it is given their address, which a loopback cannot have.
    for (let i = proxyCount; i > 0; i--) {
      const proxy = await startProxy(port, i === 1)
      proxies.push(proxy)
      port = proxy.port
    }
    afterAll(async () => {
      for (const proxy of proxies) proxy.close()
      await gateway.stop()
    })
    let client = 0

    test.each(Object.entries(claims))('%s does not evade', async (_what, claim) => {
      client += 1
      const from = proxyCount === 0 ? undefined : `203.0.113.${client}`
      const statuses = []
      for (let i = 0; i < 2 * burst; i++) statuses.push(await ask({ from, claim: claim(i) }))
      expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(burst)
      expect(statuses.slice(burst)).toEqual(Array(burst).fill(429))
    })

    test.skipIf(proxyCount === 0)(
      'another address within a /64 does not evade, another /64 is another client',
      async () => {
        const statuses = []
        for (let i = 0; i < 2 * burst; i++) statuses.push(await ask({ from: `2001:db8:1:2:${i}::${i + 1}`, claim: '' }))
        expect(statuses.slice(burst)).toEqual(Array(burst).fill(429))
        expect(await ask({ from: '2001:db8:1:3::1', claim: '' })).toBe(200)
      },
    )

    async function ask({ from = '', claim }: { from?: string; claim: string }): Promise<number | undefined> {
      const headers = { 'x-forwarded-for': claim, 'x-test-client': from }
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        httpRequest({ host: '127.0.0.1', port, path: '/api/products', headers, agent: false }, resolve)
          .on('error', reject)
          .end()
      })
      response.resume()
      return response.statusCode
    }
  })
})

/** A proxy that appends the address of its peer, as all do. The outermost one is told by the test who its peer is. */
async function startProxy(target: number, isOutermost: boolean) {
  const server = createServer((incoming, answer) => {
    const peer = isOutermost ? incoming.headers['x-test-client'] : incoming.socket.remoteAddress
    const claimed = incoming.headers['x-forwarded-for']
    const headers = { ...incoming.headers, 'x-forwarded-for': claimed ? `${claimed}, ${peer}` : String(peer) }
    const outgoing = httpRequest(
      { host: '127.0.0.1', port: target, path: incoming.url, headers, agent: false },
      (from) => {
        answer.writeHead(from.statusCode ?? 502, from.headers)
        from.pipe(answer)
      },
    )
    outgoing.on('error', () => answer.destroy())
    incoming.pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, close: () => server.close().closeAllConnections() }
}
