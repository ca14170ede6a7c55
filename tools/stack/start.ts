/**
 * The shop as a set of processes: databases first, then their tables and data, then the services, the gateway last.
 * Whatever fails on the way, and whenever it is stopped, everything that was started is stopped again, last one first.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pickPort } from '@shop/test-kit/port'
import { counted } from '../command-line/counted.ts'
import { migrate } from '../migrate.ts'
import { seed } from '../seed.ts'
import type { Supervisor } from './keep-alive.ts'
import { lockDataDir } from './lock.ts'
import type { StackOptions } from './options.ts'
import { requireDataDir, requireFreePort, requireRedisServer, requireVisitablePort } from './requirements.ts'
import { type Account, loadSecrets } from './secrets.ts'
import { type Databases, startDatabases } from './servers/databases.ts'
import { type EnvironmentSource, environmentOf } from './services/environment.ts'
import { followSources } from './services/follow-sources.ts'
import { allInstances } from './services/instances.ts'
import { requireKnownVariables } from './services/known-variables.ts'
import { productInStock, untilOpen } from './services/opening.ts'
import { type Service, startService } from './services/service.ts'
import type { DatabaseUrls, Part, Stage, Undo } from './stage.ts'

const defaultRestartLimit = 10

export interface Stack {
  url: string
  accounts: readonly Account[]
  parts(): Part[]
  /** As the services reach them. */
  databaseUrls: DatabaseUrls
  /** The superuser's, of a Postgres of the demo. */
  superuserUrl?: string
  /** Of the read-only Redis user, on the servers of the demo. */
  viewerUrls: Databases['viewerUrls']
  /** A product that can be bought, to try things with. */
  sampleSku: string
  /** Resolves with the reason when the stack cannot go on by itself. */
  broken: Promise<Error>
  /** Stops everything, last started first. May be called twice. */
  stop(): Promise<void>
}

/** @param signal ends a start that is under way: what was started is stopped, and the start rejects with the signal's reason */
export async function startStack(
  options: StackOptions,
  report: (line: string) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<Stack> {
  const undo: Undo = []
  const stopping = new AbortController()
  const stop = once(async () => {
    stopping.abort(new Error('the shop stops'))
    for (const step of undo.reverse()) await step()
  })
  const interrupted = Promise.withResolvers<never>()
  const interrupt = () => interrupted.reject(signal.reason)
  signal.addEventListener('abort', interrupt, { once: true })
  if (signal.aborted) interrupt()
  try {
    // Not after the step that is under way: one may take a minute.
    return await Promise.race([
      startParts(options, report, { undo, stop, signal: stopping.signal }),
      interrupted.promise,
    ])
  } catch (error) {
    await stop()
    throw error
  } finally {
    signal.removeEventListener('abort', interrupt)
  }
}

interface Control {
  undo: Undo
  stop: () => Promise<void>
  /** Aborted when the stack stops, also while it starts: nothing may be started after that. */
  signal: AbortSignal
}

async function startParts(options: StackOptions, report: (line: string) => void, { undo, stop, signal }: Control) {
  const { dataDir } = options
  const port = await requireAll(options, report)
  signal.throwIfAborted()
  undo.push(lockDataDir(dataDir))
  if (options.fresh) clear(dataDir)
  const secrets = loadSecrets(dataDir)

  const broken = Promise.withResolvers<Error>()
  const services: Service[] = []
  const supervisor: Supervisor = {
    report,
    restartLimit: options.restartLimit ?? defaultRestartLimit,
    onGivenUp: (name, reason) => {
      if (!isReplaced(name, services, options)) broken.resolve(new Error(`${reason}; the shop cannot run without it.`))
    },
  }
  const stage: Stage = { options, secrets, undo, supervisor, signal }
  report('Starting the databases …')
  const databases = await startDatabases(stage)
  await fill(stage, databases)
  signal.throwIfAborted()

  report('Starting the services …')
  services.push(...startServices({ options, port, secrets, databases }, undo, supervisor))
  await Promise.all(services.map(({ started }) => started))
  const url = `http://${visibleHost(options.host)}:${port}`
  await untilOpen(url, signal)
  const sampleSku = await productInStock(url)
  signal.throwIfAborted()
  if (options.watch) undo.push(followSources(services, databases.urls, report))
  return {
    url,
    accounts: secrets.accounts,
    sampleSku,
    databaseUrls: databases.urls,
    viewerUrls: databases.viewerUrls,
    ...(databases.superuserUrl !== undefined && { superuserUrl: databases.superuserUrl }),
    parts: () => [...databases.parts(), ...describe(services, options)],
    broken: broken.promise,
    stop,
  }
}

/** Everything that can be found wrong before anything is started. Resolves to the gateway's port. */
async function requireAll(options: StackOptions, report: (line: string) => void): Promise<number> {
  const { host = '127.0.0.1', servers = {}, inspect = [], env = [] } = options
  await requireKnownVariables(env)
  const port = options.port === 0 ? await pickPort() : options.port
  await requireFreePort(port, host, '--port N')
  await requireVisitablePort(port, '--port N')
  for (const { service, port } of inspect) await requireFreePort(port, '127.0.0.1', `--inspect ${service}:PORT`)
  requireDataDir(options.dataDir)
  if (!servers.redisCacheUrl || !servers.redisStateUrl) requireRedisServer(report)
  return port
}

/** Tables, then products and accounts. */
async function fill({ options, secrets, supervisor, signal }: Stage, { urls }: Databases): Promise<void> {
  for (const [service, databaseUrl] of Object.entries(urls)) {
    signal.throwIfAborted()
    await migrate({ service, databaseUrl })
  }
  if (!options.seed) return
  signal.throwIfAborted()
  supervisor.report(`Filling the catalog with ${counted(options.productCount, 'product')} …`)
  await seed({
    catalogUrl: urls.catalog,
    userUrl: urls.user,
    productCount: options.productCount,
    accounts: secrets.accounts,
    onProgress: supervisor.report,
  })
}

function startServices(source: EnvironmentSource, undo: Undo, supervisor: Supervisor): Service[] {
  const { options } = source
  const services = allInstances.map((instance) =>
    startService({
      ...instance,
      env: environmentOf(instance, source),
      logFile: logFileOf(options, instance.name),
      inspectPort: options.inspect?.find(({ service }) => service === instance.name)?.port,
      supervisor,
    }),
  )
  undo.push(() => stopServices(services))
  return services
}

/** The gateway first, so that no request is sent to a service that is leaving. */
async function stopServices(services: readonly Service[]): Promise<void> {
  await services.at(-1)?.stop()
  await Promise.all(services.slice(0, -1).map((service) => service.stop()))
}

/** Another instance does the same work, or the next save of a file starts it again. */
function isReplaced(name: string, services: readonly Service[], { watch }: StackOptions): boolean {
  const service = services.find((one) => one.name === name)
  if (service === undefined) return false
  return watch || services.some((one) => one !== service && one.app === service.app && one.isRunning())
}

/** A listener on all addresses is reached as localhost. */
function visibleHost(host = '127.0.0.1'): string {
  if (['127.0.0.1', '0.0.0.0', '::', '::1'].includes(host)) return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

function describe(services: readonly Service[], options: StackOptions): Part[] {
  return services.map((service) => ({
    name: service.name,
    port: service.port(),
    pid: service.pid() ?? 0,
    what: service.app === 'gateway' ? 'the only published port' : 'registered in Redis',
    log: logFileOf(options, service.name),
  }))
}

function logFileOf(options: StackOptions, name: string): string {
  return join(options.dataDir, 'logs', `${name}.log`)
}

/** What the demo makes, and nothing else: a wrong --data must not cost a person's files. */
const ours = ['postgres', 'redis-cache', 'redis-state', 'logs', 'secrets.json', 'secrets.json.new', 'look.env']

function clear(dataDir: string) {
  for (const entry of readdirSync(dataDir)) {
    if (ours.includes(entry)) rmSync(join(dataDir, entry), { recursive: true, force: true })
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    running ??= work()
    return running
  }
}
