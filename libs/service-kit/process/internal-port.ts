/** The port that is never published: /metrics for Prometheus and /health for the orchestrator, apart from the API and its load. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Health } from './health.ts'

export interface InternalPortOptions {
  host: string
  port: number
  instanceId: string
  metrics: Metrics
  health: Health
}

export async function openInternalPort({ host, port, ...answers }: InternalPortOptions) {
  const server = createServer((request, response) => {
    answer(request.url?.split('?', 1)[0] ?? '', response, answers).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => resolve())
  })
  return { port: (server.address() as AddressInfo).port, close }

  function close(): Promise<void> {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  }
}

async function answer(
  path: string,
  response: ServerResponse,
  { instanceId, metrics, health }: Omit<InternalPortOptions, 'host' | 'port'>,
) {
  if (path === '/metrics') {
    const { contentType, text } = await metrics.page()
    response.setHeader('content-type', contentType).end(text)
  } else if (path === '/health/live') {
    json(response, 200, { status: health.isStopping() ? 'stopping' : 'live', instanceId })
  } else if (path === '/health/ready') {
    const readiness = await health.ready()
    json(response, readiness.status === 'unready' ? 503 : 200, readiness)
  } else {
    json(response, 404, { code: 'route-not-found' })
  }
}

function json(response: ServerResponse, status: number, body: unknown) {
  response
    .writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(JSON.stringify(body))
}
