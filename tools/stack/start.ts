/**
 * The shop as a set of processes: databases first, then their tables and data, then the services, the gateway last.
 * Whatever fails on the way, and whenever it is stopped, everything that was started is stopped again, last one first.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pickPort } from '@shop/test-kit/port'
import { migrate } from '../migrate.ts'
import { seed } from '../seed.ts'
import { startDatabases } from './databases.ts'
import { environments } from './environment.ts'
import type { Supervisor } from './keep-alive.ts'
import { lockDataDir, lockFile } from './lock.ts'
import type { StackOptions } from './options.ts'
import { requireFreePort, requireRedisServer } from './requirements.ts'
import { type Account, loadSecrets } from './secrets.ts'
import { type Service, startService } from './service.ts'

/** How many instances of each service: two wherever two replicas could step on each other. The gateway comes last. */
const instances = { catalog: 2, user: 1, order: 2, gateway: 1 } as const

export interface Part {
  name: string
  port: number
  pid: number
  what: string
  log?: string
}

export interface Stack {
  url: string
  accounts: readonly Account[]
  parts(): Part[]
  /** A product that can be bought, to try things with. */
  sampleSku: string
  /** Resolves with the reason when the stack cannot go on by itself. */
  broken: Promise<Error>
  /** Stops everything, last started first. May be called twice. */
  stop(): Promise<void>
}

export async function startStack(options: StackOptions, report: (line: string) => void): Promise<Stack> {
  const undo: Undo = []
  const stop = once(async () => {
    for (const step of undo.reverse()) await step()
  })
  try {
    return await startParts(options, report, undo, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

/** How to stop what was started so far, in the order it was started. */
export type Undo = (() => Promise<void> | void)[]

async function startParts(
  options: StackOptions,
  report: (line: string) => void,
  undo: Undo,
  stop: () => Promise<void>,
) {
  requireRedisServer(report)
  const port = options.port === 0 ? await pickPort() : options.port
  await requireFreePort(port)
  undo.push(lockDataDir(options.dataDir))
  if (options.fresh) clear(options.dataDir)
  const secrets = loadSecrets(options.dataDir)

  const broken = Promise.withResolvers<Error>()
  const supervisor: Supervisor = { report, giveUp: broken.resolve }

  report('Starting Postgres and two Redis servers …')
  const databases = await startDatabases(options.dataDir, secrets, undo, supervisor)
  for (const [service, databaseUrl] of Object.entries(databases.urls)) await migrate({ service, databaseUrl })
  if (options.seed) {
    report(`Filling the catalogue with ${options.productCount} products …`)
    await seed({
      catalogUrl: databases.urls.catalog,
      userUrl: databases.urls.user,
      productCount: options.productCount,
      accounts: secrets.accounts,
      onProgress: report,
    })
  }

  report('Starting the services …')
  const services = await startServices(options, environments(port, secrets, databases), undo, supervisor)
  const gateway = services.at(-1) as Service
  const url = `http://localhost:${gateway.port()}`
  await untilOpen(url)
  return {
    url,
    accounts: secrets.accounts,
    sampleSku: await productInStock(url),
    parts: () => [...databases.parts(), ...describe(services, options)],
    broken: broken.promise,
    stop,
  }
}

async function startServices(
  options: StackOptions,
  envs: Record<keyof typeof instances, Record<string, string>>,
  undo: Undo,
  supervisor: Supervisor,
): Promise<Service[]> {
  const services = Object.entries(instances).flatMap(([app, count]) =>
    Array.from({ length: count }, (_, index) => {
      const name = count === 1 ? app : `${app}-${index + 1}`
      return startService({
        name,
        app,
        env: envs[app as keyof typeof instances],
        logFile: logFileOf(options, name),
        watch: options.watch,
        supervisor,
      })
    }),
  )
  undo.push(() => stopServices(services))
  await Promise.all(services.map((service) => service.started))
  return services
}

/** The door first, so that nobody is sent to a service that is leaving. */
async function stopServices(services: readonly Service[]): Promise<void> {
  await services.at(-1)?.stop()
  await Promise.all(services.slice(0, -1).map((service) => service.stop()))
}

function describe(services: readonly Service[], options: StackOptions): Part[] {
  return services.map((service) => ({
    name: service.name,
    port: service.port(),
    pid: service.pid() ?? 0,
    what: service.name === 'gateway' ? 'the only door' : 'found through the registry in Redis',
    log: logFileOf(options, service.name),
  }))
}

function logFileOf(options: StackOptions, name: string): string {
  return join(options.dataDir, 'logs', `${name}.log`)
}

/** Open means that a shopper gets an answer: the gateway is ready, and it has found every service it sends people to. */
async function untilOpen(url: string): Promise<void> {
  const deadlineMs = Date.now() + 15_000
  const paths = ['/health/ready', '/api/products?limit=1', '/api/cart']
  for (;;) {
    const answers = await Promise.all(
      paths.map((path) => fetch(url + path).then((response) => response.status, String)),
    )
    if (answers.every((status) => status === 200)) return
    if (Date.now() > deadlineMs) {
      throw new Error(
        `The gateway does not open: ${paths.map((path, i) => `GET ${path} answers ${answers[i]}`).join(', ')}.`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function productInStock(url: string): Promise<string> {
  const response = await fetch(`${url}/api/products?limit=100`)
  const { items } = (await response.json()) as { items: { sku: string; stockCount: number }[] }
  return (items.find(({ stockCount }) => stockCount >= 10) ?? items[0])?.sku ?? 'NONE'
}

/** Everything but the lock that we hold. */
function clear(dataDir: string) {
  for (const entry of readdirSync(dataDir)) {
    if (entry !== lockFile) rmSync(join(dataDir, entry), { recursive: true, force: true })
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    running ??= work()
    return running
  }
}
