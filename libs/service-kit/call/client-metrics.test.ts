import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Instance } from '@shop/redis-kit/discovery'
import { expect, onTestFinished, test } from 'vitest'
import { createMetrics } from '../telemetry/metrics.ts'
import { createCountedClient } from './client-metrics.ts'

/** An instance that answers when it is told to. */
async function silentInstance() {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close().closeAllConnections())
  const { port } = server.address() as AddressInfo
  const address: Instance = { id: 'a', service: 'catalog', host: '127.0.0.1', port, startedAtMs: 1 }
  return { server, address }
}

const request = { service: 'catalog', path: '/', headers: {} }

test('calls without an answer are counted by reason, and avoided instances are shown', async () => {
  const { server, address } = await silentInstance()
  let instances = [address]
  const metrics = createMetrics({ service: 'gateway', instanceId: '1' })
  const balancer = { maxFailures: 1, maxEjectedRatio: 1, ejectionMs: 60_000 }
  const client = createCountedClient(
    { directory: { instances: () => instances }, maxInFlightCount: 1, balancer },
    { metrics, services: ['catalog'] },
  )
  onTestFinished(() => client.close(0))
  const seriesOf = async (name: string, labels: string) => {
    const line = (await metrics.page()).text.split('\n').find((one) => one.startsWith(`${name}{${labels}`))
    return line?.split(' ').at(-1)
  }
  expect(await seriesOf('service_instances', 'to="catalog",state="used"')).toBe('1')

  const arrived = once(server, 'request')
  const waiting = client.request(request)
  const [, response] = await arrived
  await expect(client.request(request)).rejects.toMatchObject({ reason: 'overloaded' })
  response.end('here')
  expect((await waiting).status).toBe(200)
  server.close().closeAllConnections()
  await expect(client.request(request)).rejects.toMatchObject({ reason: 'unreachable' })
  expect(await seriesOf('service_instances', 'to="catalog",state="ejected"')).toBe('1')
  expect(await seriesOf('service_instances', 'to="catalog",state="used"')).toBe('0')
  instances = []
  await expect(client.request(request)).rejects.toMatchObject({ reason: 'no-instance' })
  for (const reason of ['overloaded', 'unreachable', 'no-instance']) {
    expect(await seriesOf('service_calls_failed_total', `to="catalog",reason="${reason}"`)).toBe('1')
  }
  expect(await seriesOf('service_calls_failed_total', 'to="catalog",reason="timed-out"')).toBe('0')
})
