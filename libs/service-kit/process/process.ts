/**
 * The life of a service's process, the same for all: read the configuration, build, listen, register, and stop in an order that loses
 * no request. main.ts of every service is a call of `runService`; nothing else reads the environment or hears a signal.
 *
 * Stopping: unready -> out of the registry -> a moment for the gateways to hear of it -> no new connections, running requests finish ->
 * loops finish their message -> connections close -> logs flush -> exit 0. After SHUTDOWN_TIMEOUT_MS, or at a second signal: exit 1.
 */
import './compile-cache.ts' // first: the cache works for what Node compiles after it
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import type { Registry } from '@shop/redis-kit/discovery'
import { pause } from '@shop/redis-kit/flow/pause'
import type { Static, TObject } from 'typebox'
import type { Server } from '../http/server.ts'
import { createLog, flushLog, type Log, maskUrls } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'
import { ConfigError, type commonConfig, loadConfig, newInstanceId } from './config.ts'
import { type Hangups, hearHangups } from './hangup.ts'
import { openInternalPort } from './internal-port.ts'
import { type Loop, startLoops } from './loop.ts'
import { createLoopHealth } from './loop-health.ts'
import { watchPermissions } from './redis-permissions.ts'
import { register } from './registration.ts'

export type { Loop } from './loop.ts'

/** What `build` gives back: everything that was made, not yet listening. */
export interface App {
  server: Pick<Server, 'listen' | 'close' | 'server' | 'health' | 'addHook'>
  /** Background work; restarted with backoff when it fails. */
  loops?: readonly Loop[]
  /** Where other services look for this one. Without it nothing is registered. */
  registry?: Registry
  /** Asked before each heartbeat: an instance that cannot work does not say that it can. @default always */
  isHealthy?(): boolean
  /** Reads again what may change while the process runs. At SIGHUP, see hangup.ts. */
  reload?(): Promise<void>
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
  const hangups = hearHangups(log)
  const stop = stopOnSignals(log, common.SHUTDOWN_TIMEOUT_MS, async () => (await started)())
  const started = start(service, config, { log, instanceId, hangups, stop })
  started.catch((error) => {
    const isMistake = error instanceof ConfigError
    // A mistake in the configuration is one sentence and nothing else; anything else may be a bug, and is logged whole.
    if (!isMistake && knownSentence(error, common.HOST) === undefined) log.fatal({ err: error }, 'start-up failed')
    flushLog(log)
    complain(service.name, isMistake ? error.problems : [sentenceOf(error, common.HOST)])
    process.exit(isMistake ? 2 : 1)
  })
  await started
}

function configOrExit<Schema extends TObject>({ name, schema }: Service<Schema>): Static<Schema> {
  try {
    return loadConfig(schema, process.env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    complain(name, error.problems)
    process.exit(2)
  }
}

/** One line per mistake, for people: nothing else is written when the configuration cannot be used. */
function complain(name: string, sentences: readonly string[]): void {
  for (const sentence of sentences) process.stderr.write(`${name} cannot start: ${sentence}\n`)
}

/** Builds, listens, registers, starts the loops; resolves with the way to stop all of it in order. */
async function start<Schema extends TObject>(
  { name, build }: Service<Schema>,
  config: Static<Schema>,
  { log, instanceId, hangups, stop }: { log: Log; instanceId: string; hangups: Hangups; stop(reason: string): void },
): Promise<() => Promise<void>> {
  const { HOST: host, PORT, INTERNAL_PORT, ADVERTISE_HOST, DRAIN_MS, SHUTDOWN_TIMEOUT_MS } = config as CommonConfig
  const metrics = createMetrics({ service: name, instanceId })
  metrics.extend((prom, [register]) => prom.collectDefaultMetrics({ register }))
  const stopping = new AbortController()
  const permissions = watchPermissions({
    service: name,
    log,
    onRefusal: (text) => tellParent({ type: 'not-permitted', text }),
  })
  const app = await build(config, { log, name, instanceId, metrics, stopping: stopping.signal })
  const { server } = app
  const { health } = server
  hangups.reloadBy(app.reload)
  health.add(permissions.probe)
  let leaving = false
  closeConnectionsWhile(server, () => leaving)
  await server.listen({ host, port: PORT, listenTextResolver: (address) => `listening at ${address}` })
  const internal = await openInternalPort({ host, port: INTERNAL_PORT, instanceId, metrics, health })
  const { port } = server.server.address() as AddressInfo
  const ports = { port, internalPort: internal.port }
  const watch = createLoopHealth({ health, metrics })
  const registration = await register({
    registry: app.registry,
    watch,
    instance: {
      id: instanceId,
      service: name,
      host: ADVERTISE_HOST ?? reachable(host),
      ...ports,
      startedAtMs: Date.now(),
    },
    health,
    log,
    isHealthy: () => app.isHealthy?.() ?? true,
    onSuperseded: () => stop('superseded'),
  })
  const loops = startLoops(app.loops ?? [], log, { watch })
  tellParent({ type: 'listening', service: name, instanceId, ...ports })
  log.info({ ...ports, startedInMs: Math.round(performance.now()) }, 'started')

  return async function stopAll() {
    leaving = true
    health.stop()
    await registration.leave()
    if (app.registry !== undefined) await pause(DRAIN_MS)
    stopping.abort()
    // A request that takes most of the time there is, is cut off, so that the rest can still be done in order.
    const cutOff = setTimeout(() => server.server.closeAllConnections(), SHUTDOWN_TIMEOUT_MS * 0.6)
    await server.close()
    clearTimeout(cutOff)
    await loops.stop()
    await app.close()
    permissions.stop()
    await internal.close()
  }
}

/**
 * Each answer then says that it is the last on its connection. So connections come to rest before the port closes, where closing them
 * could meet a request on its way; and one whose request ends after that does not keep the server open.
 */
function closeConnectionsWhile(server: App['server'], isLeaving: () => boolean) {
  server.addHook('onSend', (_request, reply, payload, done) => {
    if (isLeaving()) reply.header('connection', 'close')
    done(null, payload)
  })
}

/** Tells the parent process, if there is an IPC channel. Send errors are ignored: a parent that has died is reported by 'disconnect'. */
function tellParent(message: object) {
  if (process.connected) process.send?.(message, undefined, {}, () => {})
}

/** Who listens on every address is reached by the machine's name: in a container that is its id, which its network resolves. */
function reachable(host: string): string {
  return host === '0.0.0.0' || host === '::' ? hostname() : host
}

/** SIGTERM, SIGINT, a parent that is gone, or a call of what it returns: stop in order. A second reason: at once. */
function stopOnSignals(log: Log, timeoutMs: number, stopAll: () => Promise<void>): (reason: string) => void {
  let stopping = false
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  if (process.send !== undefined) process.once('disconnect', () => stop('parent exited'))
  return stop

  function stop(reason: string) {
    if (stopping) return exit(1, `stop forced: ${reason} while stopping`)
    stopping = true
    log.info({ reason }, 'stopping')
    setTimeout(() => exit(1, `stop timed out after ${timeoutMs} ms`), timeoutMs).unref()
    stopAll().then(
      () => exit(0, 'stopped'),
      (error) => {
        log.error({ err: error }, 'stop failed')
        exit(1, 'stopped with an error')
      },
    )
  }

  function exit(code: number, message: string) {
    log[code === 0 ? 'info' : 'error'](message)
    flushLog(log)
    process.exit(code)
  }
}

/** After an uncaught error the state is unknown: log it and let the supervisor start a new process. */
function exitOnBugs(log: Log) {
  const die = (event: string) => (error: unknown) => {
    log.fatal({ err: error }, event)
    flushLog(log)
    process.exit(1)
  }
  process.on('uncaughtException', die('uncaught exception'))
  process.on('unhandledRejection', die('unhandled rejection'))
}

function sentenceOf(error: unknown, host: string): string {
  const { message } = error as Error
  return knownSentence(error, host) ?? maskUrls(String(message ?? error).split('\n', 1)[0] ?? 'unknown error')
}

/** Of what a person has set wrong and only the system can tell. */
function knownSentence(error: unknown, host: string): string | undefined {
  const { code, address, port, syscall, hostname } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
    hostname?: string
  }
  if (syscall === 'getaddrinfo' && hostname === host) {
    return `HOST is ${host}, which cannot be resolved: set it to an address of this machine.`
  }
  if (syscall !== 'listen') return undefined
  if (code === 'EADDRINUSE') {
    return `port ${port} of ${address} is in use by another process: stop it, or set PORT or INTERNAL_PORT to another port.`
  }
  if (code === 'EACCES')
    return `port ${port} of ${address} needs more rights than this user has: set PORT to a port from 1024.`
  if (code === 'EADDRNOTAVAIL')
    return `HOST is ${address}, which is not an address of this machine: set it to one that is.`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'HOST cannot be resolved: set it to an address.'
  return undefined
}
