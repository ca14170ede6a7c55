/** A service as the process that it is in production: what tests of signals, crashes and several instances need. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Exit, spawnServer, untilReady } from './server-process.ts'

const REPOSITORY = resolve(import.meta.dirname, '../..')

export interface ServiceOptions {
  /** The folder below apps/ whose main.ts is started. */
  app: string
  /** All that it gets besides PATH, HOME, TMPDIR and a compile cache: a variable of the machine must not decide a test. */
  env?: Record<string, string>
  /** For Node itself, before the file. */
  nodeArgs?: string[]
  /** @default 20000 */
  startTimeoutMs?: number
  /** How long `stop` waits before SIGKILL. @default 20000 */
  stopTimeoutMs?: number
  /** @default this repository's folder */
  root?: string
}

/** What a service says to its parent once it takes requests. */
interface Listening {
  type: 'listening'
  instanceId: string
  port: number
  internalPort?: number
}

export interface RunningService extends Omit<Listening, 'type'> {
  readonly url: string
  readonly pid: number
  /** The end of what it wrote. */
  log(): string
  /** Resolves when it is gone, however it went. */
  exited: Promise<Exit>
  /** In order, by SIGTERM; SIGKILL after the deadline, which `signal` then tells. */
  stop(): Promise<Exit>
  /** SIGKILL resolves when it is gone. */
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
}

/** Starts apps/<app>/main.ts and resolves when it takes requests. Throws with its log when it does not. */
export async function startService(options: ServiceOptions): Promise<RunningService> {
  const { app, env, nodeArgs = [], startTimeoutMs = 20_000, stopTimeoutMs = 20_000, root = REPOSITORY } = options
  const file = join(root, 'apps', app, 'main.ts')
  if (!existsSync(file)) throw new Error(`service not found: ${file}`)
  const { PATH, HOME, TMPDIR } = process.env
  let listening: Listening | undefined
  const server = spawnServer({
    name: app,
    command: process.execPath,
    args: [...nodeArgs, file],
    cwd: root,
    env: { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/redis-shop'), ...env },
    stopTimeoutMs,
    onMessage: (message) => {
      if (isListening(message)) listening = message
    },
  })
  await untilReady(server, { name: app, timeoutMs: startTimeoutMs, isReady: async () => listening !== undefined })
  const { instanceId, port, internalPort } = listening as unknown as Listening

  async function kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT') {
    server.signal(signal)
    if (signal === 'SIGKILL') await server.exited
  }
  const { pid, log, exited, stop } = server
  return { url: `http://127.0.0.1:${port}`, port, internalPort, instanceId, pid, log, exited, stop, kill }
}

function isListening(message: unknown): message is Listening {
  return typeof message === 'object' && message !== null && (message as { type?: unknown }).type === 'listening'
}
