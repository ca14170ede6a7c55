/**
 * The life of a service's process, the same for all: read the configuration, build, listen, register, and stop in an order that loses
 * no request. main.ts of every service is a call of `runService`; nothing else reads the environment or hears a signal.
 *
 * Stopping: unready -> out of the registry -> a moment for the gateways to hear of it -> no new connections, running requests finish ->
 * loops finish their message -> connections close -> logs flush -> exit 0. After SHUTDOWN_TIMEOUT_MS, or at a second signal: exit 1.
 */
import type { Static, TObject } from 'typebox'
import { ConfigError, type commonConfig, loadConfig, newInstanceId } from './config.ts'
import { openInternalPort } from './internal-port.ts'
import { createLog, flushLog, type Log } from './log.ts'
import { type Loop, startLoops } from './loop.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { type Registry, register } from './registration.ts'
import type { Server } from './server.ts'

export type { Loop } from './loop.ts'
export type { Registry } from './registration.ts'

/** What `build` gives back: everything that was made, not yet listening. */
export interface App {
  server: Pick<Server, 'listen' | 'close' | 'server' | 'health' | 'addHook'>
  /** Background work; restarted with backoff when it fails. */
  loops?: readonly Loop[]
  /** Where other services look for this one. Without it nothing is registered. */
  registry?: Registry
  /** Asked before each heartbeat: an instance that cannot work does not say that it can. @default always */
  isHealthy?(): boolean
  /** Closes the connections: after the last request and the last loop. */
  close(): Promise<void>
}

export interface Surroundings {
  log: Log
  name: string
  instanceId: string
  metrics: Metrics
  /** Aborted when the server begins to close: what would go on for ever (server-sent events) ends itself then. */
  stopping: AbortSignal
}

type CommonConfig = Static<TObject<typeof commonConfig>>

export interface Service<Schema extends TObject> {
  name: string
  /** Contains `commonConfig`. */
  schema: Schema
  build(config: Static<Schema>, surroundings: Surroundings): Promise<App>
}

/** Runs until it is told to stop. Ends the process itself: 0 stopped in order, 1 failed, 2 not configured. */
export async function runService<Schema extends TObject>(service: Service<Schema>): Promise<void> {
  const config = configOrExit(service)
  const common = config as CommonConfig
  const instanceId = common.INSTANCE_ID ?? newInstanceId(service.name)
  const log = createLog({ service: service.name, instanceId, level: common.LOG_LEVEL })
  exitOnBugs(log)
  const started = start(service, config, { log, instanceId })
  started.catch((error) => {
    log.fatal({ err: error }, 'start-up failed')
    flushLog(log)
    process.stderr.write(`${service.name} could not start: ${sentenceOf(error)}\n`)
    process.exit(1)
  })
  stopOnSignals(log, common.SHUTDOWN_TIMEOUT_MS, async () => (await started)())
  await started
}

function configOrExit<Schema extends TObject>({ name, schema }: Service<Schema>): Static<Schema> {
  try {
    return loadConfig(schema, process.env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${name}: ${error.message}\n`)
    process.exit(2)
  }
}

/** Builds, listens, registers, starts the loops; resolves with the way to stop all of it in order. */
async function start<Schema extends TObject>(
  { name, build }: Service<Schema>,
  config: Static<Schema>,
  { log, instanceId }: { log: Log; instanceId: string },
): Promise<() => Promise<void>> {
  const common = config as CommonConfig
  const metrics = createMetrics({ service: name, instanceId })
  const stopping = new AbortController()
  const app = await build(config, { log, name, instanceId, metrics, stopping: stopping.signal })
  closeConnectionsWhile(app, stopping.signal)
  await app.server.listen({
    host: common.HOST,
    port: common.PORT,
    listenTextResolver: (address) => `listening at ${address}`,
  })
  const internal = await openInternalPort({
    host: common.HOST,
    port: common.INTERNAL_PORT,
    metrics,
    health: app.server.health,
  })
  const port = portOf(app.server.server.address())
  const registration = await register(
    app,
    {
      id: instanceId,
      service: name,
      host: common.ADVERTISE_HOST ?? common.HOST,
      port,
      internalPort: internal.port,
      startedAtMs: Date.now(),
    },
    log,
  )
  const loops = startLoops(app.loops ?? [], log)
  void metrics.load()
  process.send?.({ type: 'listening', service: name, instanceId, port, internalPort: internal.port })
  log.info({ port, internalPort: internal.port, startedInMs: Math.round(performance.now()) }, 'started')

  return async function stop() {
    app.server.health.stop()
    await registration.leave()
    if (app.registry !== undefined) await elapse(common.DRAIN_MS)
    stopping.abort()
    const closing = setTimeout(() => app.server.server.closeAllConnections(), common.SHUTDOWN_TIMEOUT_MS * 0.6)
    await app.server.close()
    clearTimeout(closing)
    await loops.stop()
    await app.close()
    await internal.close()
  }
}

/** A keep-alive connection whose request ends after the door was closed would keep the server open: each answer then says that it is the last. */
function closeConnectionsWhile(app: App, stopping: AbortSignal) {
  app.server.addHook('onSend', (_request, reply, payload, done) => {
    if (stopping.aborted) reply.header('connection', 'close')
    done(null, payload)
  })
}

function portOf(address: ReturnType<Server['server']['address']>): number {
  if (typeof address === 'object' && address !== null) return address.port
  throw new Error('the server has no port')
}

/** SIGTERM, SIGINT, or a parent that is gone: stop in order. A second one: at once. */
function stopOnSignals(log: Log, timeoutMs: number, stop: () => Promise<void>) {
  let stopping = false
  const onStop = (reason: string) => {
    if (stopping) return exit(1, `second ${reason}: not waiting any longer`)
    stopping = true
    log.info({ reason }, 'stopping')
    setTimeout(() => exit(1, `not stopped after ${timeoutMs} ms`), timeoutMs).unref()
    stop().then(
      () => exit(0, 'stopped'),
      (error) => {
        log.error({ err: error }, 'stopping failed')
        exit(1, 'stopped with an error')
      },
    )
  }
  const exit = (code: number, message: string) => {
    log[code === 0 ? 'info' : 'error'](message)
    flushLog(log)
    process.exit(code)
  }
  process.on('SIGTERM', () => onStop('SIGTERM'))
  process.on('SIGINT', () => onStop('SIGINT'))
  if (process.send !== undefined) process.once('disconnect', () => onStop('parent gone'))
}

/** After an error that nobody caught the state is unknown: say so and let the supervisor start a new process. */
function exitOnBugs(log: Log) {
  const die = (event: string) => (error: unknown) => {
    log.fatal({ err: error }, event)
    flushLog(log)
    process.exit(1)
  }
  process.on('uncaughtException', die('uncaught exception'))
  process.on('unhandledRejection', die('unhandled rejection'))
}

function sentenceOf(error: unknown): string {
  const { code, message, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  if (code === 'EADDRINUSE') return `port ${port} of ${address} is taken by another process`
  if (code === 'EACCES' && port !== undefined) return `port ${port} of ${address} may not be opened by this user`
  return String(message ?? error).split('\n', 1)[0] ?? 'unknown error'
}

function elapse(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
