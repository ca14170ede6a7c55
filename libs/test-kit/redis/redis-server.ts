/**
 * Real Redis (or Valkey) servers on this machine, for tests and for the demo without Docker: one server, or a Cluster.
 * Each listens on 127.0.0.1 only, works in a folder of its own, and leaves neither process nor folder behind.
 */
import { accessSync, constants, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { makeFolder } from '../folder.ts'
import { isAddressInUse, pickPort } from '../port.ts'
import { type Exit, type ServerProcess, spawnServer, untilReady } from '../server-process.ts'
import { formCluster } from './form-cluster.ts'
import { ask, type RedisAddress } from './redis-wire.ts'

const MAX_PORT_TRIES = 10
const ACL_FILE = 'users.acl'

export interface RedisOptions {
  /** @default a free one */
  port?: number
  /** Where it keeps its files; yours, so it is not removed. @default a temporary folder, removed on `stop` */
  dir?: string
  /** Password of the default user, or of `username` when `acl` or `config.aclfile` says who there is. @default none */
  password?: string
  /** The text of an ACL file, which is written to the server's folder. @default none */
  acl?: string
  /** The ACL user to look in as while waiting for the server. @default the default user */
  username?: string
  /** Lines of redis.conf; a list repeats the directive. @default no persistence: `{ save: '""', appendonly: 'no' }` */
  config?: Record<string, string | readonly string[]>
  /** How long the server may take to answer; loading a large append-only file takes time. @default 10000 */
  startTimeoutMs?: number
  /** Ends a start that is under way; it then rejects with the signal's reason. */
  signal?: AbortSignal
}

export interface RedisServer {
  readonly url: string
  readonly port: number
  /** Of the process that runs now: another one after `restart`. */
  readonly pid: number
  /** Resolves when the process that runs now is gone, however it went. */
  readonly exited: Promise<Exit>
  /** The end of the server's own log. */
  log(): string
  /** In order: SIGTERM, then SIGKILL after a deadline. May be called twice. */
  stop(): Promise<void>
  /** SIGKILL resolves when the process is gone; SIGSTOP freezes it (connections stay open, nothing answers). */
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
  /** Stops if it runs, and starts on the same port and folder: what was persisted is there again. */
  restart(): Promise<void>
}

/**
 * The program that SHOP_REDIS_SERVER names, else the first redis-server or valkey-server on the PATH (and where Homebrew puts them),
 * or undefined.
 */
export function findRedisServer(): string | undefined {
  const { SHOP_REDIS_SERVER: chosen } = process.env
  if (chosen) return isExecutable(chosen) ? chosen : undefined
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/opt/homebrew/bin', '/usr/local/bin', '/usr/bin']
  const candidates = ['redis-server', 'valkey-server'].flatMap((name) => folders.map((folder) => join(folder, name)))
  return candidates.find(isExecutable)
}

/** Starts a server and resolves once it answers. Throws with the server's own log when it does not. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const binary = findRedisServer()
  if (!binary) {
    const { SHOP_REDIS_SERVER: chosen } = process.env
    throw new Error(
      chosen
        ? `SHOP_REDIS_SERVER must name a program that can be started, not ${chosen}`
        : 'no redis-server or valkey-server on the PATH: install one (apt or brew install redis), or set REDIS_URL',
    )
  }
  const { dir = await mkdtemp(join(tmpdir(), 'shop-redis-')) } = options
  const isTemporary = options.dir === undefined
  makeFolder(dir, 0o700)
  if (options.acl !== undefined) writeFileSync(join(dir, ACL_FILE), options.acl, { mode: 0o600 })
  try {
    const { port, server } = await launchOnSomePort(binary, dir, options)
    return redisServer({ binary, dir, isTemporary, port, options }, server)
  } catch (error) {
    if (isTemporary) await rm(dir, { recursive: true, force: true })
    throw error
  }
}

interface Placement {
  binary: string
  dir: string
  isTemporary: boolean
  port: number
  options: RedisOptions
}

function redisServer(placement: Placement, first: ServerProcess): RedisServer {
  const { binary, dir, isTemporary, port, options } = placement
  let server = first

  async function stop() {
    server.signal('SIGCONT') // a frozen server cannot hear SIGTERM
    await server.stop()
    if (isTemporary) await rm(dir, { recursive: true, force: true })
  }
  async function kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT') {
    server.signal(signal)
    if (signal === 'SIGKILL') await server.exited
  }
  async function restart() {
    server.signal('SIGCONT')
    await server.stop()
    server = await launch(binary, { dir, port }, options)
  }
  return {
    url: urlOf(port, options),
    port,
    get pid() {
      return server.pid
    },
    get exited() {
      return server.exited
    },
    log: () => server.log(),
    stop,
    kill,
    restart,
  }
}

/** Another process may take a port between our look and the server's bind: then another port, unless it was asked for. */
async function launchOnSomePort(binary: string, dir: string, options: RedisOptions) {
  for (let tries = 1; ; tries++) {
    const port = options.port ?? (await pickPort())
    try {
      return { port, server: await launch(binary, { dir, port }, options) }
    } catch (error) {
      if (options.port !== undefined || tries === MAX_PORT_TRIES || !isAddressInUse(error)) throw error
    }
  }
}

async function launch(
  binary: string,
  { dir, port }: { dir: string; port: number },
  options: RedisOptions,
): Promise<ServerProcess> {
  const isTemporary = options.dir === undefined
  const server = spawnServer({
    name: 'Redis',
    command: binary,
    args: ['-'], // the configuration comes through standard input: a password is in no process list and no file
    input: configText(dir, port, options),
    cwd: dir,
    orphanSignal: isTemporary ? 'SIGKILL' : 'SIGTERM',
    orphanDir: isTemporary ? dir : undefined,
  })
  const address: RedisAddress = { port, username: options.username, password: options.password }
  await untilReady(server, {
    name: `Redis on port ${port}`,
    timeoutMs: options.startTimeoutMs ?? 10_000,
    signal: options.signal,
    // Its own process id, and not just any PONG: on this port may be somebody else's server while ours fails to bind.
    isReady: async () => (await ask(address, [['INFO', 'server']]))?.includes(`process_id:${server.pid}\r\n`) ?? false,
  })
  return server
}

function configText(dir: string, port: number, { password, acl, config }: RedisOptions): string {
  const aclfile = acl === undefined ? config?.aclfile : quote(join(dir, ACL_FILE))
  const lines: Record<string, string | readonly string[]> = {
    bind: '127.0.0.1',
    port: String(port),
    dir: quote(dir),
    daemonize: 'no',
    save: '""',
    appendonly: 'no',
    ...(password !== undefined && aclfile === undefined && { requirepass: quote(password) }),
    ...config,
    ...(aclfile !== undefined && { aclfile }),
  }
  return Object.entries(lines)
    .flatMap(([name, values]) => [values].flat().map((value) => `${name} ${value === '' ? '""' : value}\n`))
    .join('')
}

function urlOf(port: number, { username = '', password }: RedisOptions, scheme = 'redis'): string {
  const user = password === undefined ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`
  return `${scheme}://${user}127.0.0.1:${port}`
}

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export interface ClusterOptions {
  /** @default 3 */
  masters?: number
  password?: string
  /** How long a silent node counts as alive. Short in a test of an outage; too short, and a busy machine looks like one. @default 3000 */
  nodeTimeoutMs?: number
  config?: RedisOptions['config']
}

export interface RedisCluster {
  /** `redis+cluster://` with every node. */
  readonly url: string
  readonly nodes: readonly RedisServer[]
  stop(): Promise<void>
}

/**
 * Starts a Cluster of masters and resolves when every node says that the cluster is ok. That takes two seconds by
 * design of Redis: a master that just started waits that long before it serves.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const { masters = 3, password, nodeTimeoutMs = 3000, config } = options
  const nodeOptions: RedisOptions = {
    password,
    config: {
      'cluster-enabled': 'yes',
      'cluster-node-timeout': String(nodeTimeoutMs),
      'cluster-announce-ip': '127.0.0.1',
      ...(password !== undefined && { masterauth: quote(password) }),
      ...config,
    },
  }
  const starts = await Promise.allSettled(Array.from({ length: masters }, () => startRedis(nodeOptions)))
  const nodes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const stop = async () => void (await Promise.all(nodes.map((node) => node.stop())))
  try {
    const failure = starts.find((start) => start.status === 'rejected')
    if (failure) throw failure.reason
    await formCluster(nodes.map(({ port }) => ({ port, password })))
  } catch (error) {
    await stop()
    throw error
  }
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')
  return { url: urlOf(0, { password }, 'redis+cluster').replace('127.0.0.1:0', hosts), nodes, stop }
}
