/**
 * A gateway for tests: two Redis servers of its own that may be killed, services that say what they were asked, and the app as it is in
 * production: in the test's own process, or as a process that can be measured, told to stop, and killed.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { createRegistration, createRegistry, discoveryKeys } from '@shop/redis-kit/discovery'
import { createSessions } from '@shop/redis-kit/session'
import { createIdentityVerifier, generateIdentityKeys } from '@shop/service-kit/identity'
import { loadConfig } from '@shop/service-kit/process/config'
import { startLoops } from '@shop/service-kit/process/loop'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { createLog } from '@shop/service-kit/telemetry/log'
import { createMetrics } from '@shop/service-kit/telemetry/metrics'
import { startService } from '@shop/test-kit/service'
import { buildApp } from './app.ts'
import { configSchema } from './config.ts'
import { keys } from './keys.ts'
import { services } from './routes.ts'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

type Answers = Partial<Record<string, Answer>>

/** @param answers what the first instance of a service does. @default it says what it was asked */
export const startGateway = (env: Record<string, string> = {}, answers?: Answers) =>
  startAround(env, answers, serveHere)
export const startGatewayProcess = (env: Record<string, string> = {}, answers?: Answers) =>
  startAround(env, answers, serveApart)

async function startAround<Gateway extends { url: string; stop(): Promise<unknown> }>(
  env: Record<string, string>,
  answers: Answers = {},
  serve: (env: Record<string, string>) => Promise<Gateway>,
) {
  const [state, cache] = await Promise.all([
    startRedisWithUsers('state'),
    startRedisWithUsers('cache', { 'maxmemory-policy': 'allkeys-lfu' }),
  ])
  const redis = connectRedis(state.url, { name: 'test' })
  await whenReady(redis, 5_000)
  const registry = createRegistry(redis, { keys: discoveryKeys() })
  const started: (() => Promise<unknown>)[] = []
  for (const service of services) await addInstance(service, answers[service])

  const identity = generateIdentityKeys()
  const environment = {
    REDIS_STATE_URL: state.urlAs('gateway'),
    REDIS_CACHE_URL: cache.urlAs('gateway'),
    IDENTITY_PRIVATE_KEY: identity.IDENTITY_PRIVATE_KEY,
    ...env,
  }
  const gateway = await serve(environment)
  const sessions = createSessions(redis, { keys: keys.sessions, idleMs: 60_000, absoluteMs: 600_000 })

  return {
    ...gateway,
    stopProcess: gateway.stop,
    state,
    cache,
    sessions,
    register,
    verify: createIdentityVerifier(identity.IDENTITY_PUBLIC_KEY),
    addInstance,
    addGateway,
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
    await register(service, id, port)
    const kill = () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections())
    started.push(kill)
    return kill
  }

  /** A further instance of the gateway, with the same Redis. */
  async function addGateway(more: Record<string, string> = {}): Promise<Gateway> {
    const another = await serve({ ...environment, ...more })
    started.push(() => another.stop())
    return another
  }

  async function register(service: string, id: string, port: number) {
    const registration = createRegistration(registry, { id, service, host: '127.0.0.1', port, startedAtMs: Date.now() })
    await registration.start()
    started.push(() => registration.leave())
  }

  async function stop() {
    await gateway.stop()
    await Promise.allSettled(started.map((undo) => undo()))
    await closeRedis(redis)
    await Promise.all([state.stop(), cache.stop()])
  }
}

async function serveHere(env: Record<string, string>) {
  const stopping = new AbortController()
  const instanceId = env.INSTANCE_ID ?? 'gateway-test'
  const metrics = createMetrics({ service: 'gateway', instanceId })
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const log = createLog({ service: 'gateway', instanceId, level: 'warn', destination })
  const app = await buildApp(loadConfig(configSchema, env), {
    name: 'gateway',
    instanceId,
    log,
    metrics,
    stopping: stopping.signal,
  })
  await app.server.listen({ port: 0, host: '127.0.0.1' })
  const loops = startLoops(app.loops ?? [], log)
  const url = `http://127.0.0.1:${(app.server.server.address() as AddressInfo).port}`
  async function stop() {
    stopping.abort()
    await app.server.close()
    await loops.stop()
    await app.close()
  }
  return { url, metrics, lines, stop }
}

/** A small heap, so that what is kept in memory cannot hide. */
async function serveApart(env: Record<string, string>) {
  const nodeArgs = ['--max-old-space-size=64', '--max-semi-space-size=2']
  return startService({ app: 'gateway', env: { LOG_LEVEL: 'info', PORT: '0', INTERNAL_PORT: '0', ...env }, nodeArgs })
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
