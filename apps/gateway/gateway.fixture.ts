/** A gateway for tests: two Redis servers of its own that may be killed, services that say what they were asked, and the app as it is in production. */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/client'
import { createRegistration, createRegistry, discoveryKeys } from '@shop/redis-kit/discovery'
import { createSessions } from '@shop/redis-kit/session'
import { loadConfig } from '@shop/service-kit/config'
import { createIdentityVerifier, generateIdentityKeys } from '@shop/service-kit/identity'
import { createLog } from '@shop/service-kit/log'
import { createMetrics } from '@shop/service-kit/metrics'
import { startRedis } from '@shop/test-kit/redis-server'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'
import { keys } from './keys.ts'
import { services } from './routes.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

export async function startGateway(env: Record<string, string> = {}) {
  const [state, cache] = await Promise.all([startRedis(), startRedis()])
  const redis = connectRedis(state.url, { name: 'test' })
  await whenReady(redis, 5_000)
  const registry = createRegistry(redis, { keys: discoveryKeys() })
  const started: (() => Promise<unknown>)[] = []
  for (const service of services) await addInstance(service)

  const identity = generateIdentityKeys()
  const config = loadConfig(configSchema, {
    REDIS_STATE_URL: state.url,
    REDIS_CACHE_URL: cache.url,
    IDENTITY_PRIVATE_KEY: identity.IDENTITY_PRIVATE_KEY,
    ...env,
  })
  const app = await buildApp(config, {
    name: 'gateway',
    instanceId: 'gateway-test',
    log: createLog({ service: 'gateway', instanceId: 'gateway-test', level: 'silent' }),
    metrics: createMetrics({ service: 'gateway', instanceId: 'gateway-test' }),
    stopping: new AbortController().signal,
  })
  await app.server.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.server.server.address() as AddressInfo).port}`
  const sessions = createSessions(redis, { keys: keys.sessions, idleMs: 60_000, absoluteMs: 600_000 })

  return {
    url,
    state,
    cache,
    sessions,
    verify: createIdentityVerifier(identity.IDENTITY_PUBLIC_KEY),
    addInstance,
    stop,
  }

  /** An instance that answers with what it was asked, or as it is told; resolves to the way to kill it. */
  async function addInstance(
    service: string,
    answer: Answer = echo,
    id = `${service}-echo`,
  ): Promise<() => Promise<void>> {
    const server = createHttpServer(answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const registration = createRegistration(registry, { id, service, host: '127.0.0.1', port, startedAtMs: Date.now() })
    await registration.start()
    const kill = () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections())
    started.push(() => registration.leave(), kill)
    return kill
  }

  async function stop() {
    await app.server.close()
    await app.close()
    await Promise.allSettled(started.map((undo) => undo()))
    await closeRedis(redis)
    await Promise.all([state.stop(), cache.stop()])
  }
}

function echo(request: IncomingMessage, response: ServerResponse) {
  const chunks: Buffer[] = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const { method, url, headers } = request
    response.setHeader('content-type', 'application/json')
    response.setHeader('set-cookie', ['a=1', 'b=2'])
    response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString() }))
  })
}
