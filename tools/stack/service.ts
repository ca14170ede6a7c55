/**
 * One service of the demo as a child process that is kept alive.
 *
 * A service runs in a session of its own, so Ctrl-C reaches only the stack, which stops the parts in order. It is tied
 * to the stack by its IPC channel: when the stack dies, however it dies, the channel closes and the service stops itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type KeepAlive, keepAlive, type Supervisor } from './keep-alive.ts'

const root = join(import.meta.dirname, '..', '..')
/** Also for main.ts itself: a second start compiles nothing. */
const compileCache = join(root, 'node_modules', '.cache', 'redis-shop')
/** Six services on one laptop: a small nursery for new objects saves 20 to 40 MB each, for a little more garbage collection. */
const nodeFlags = ['--max-semi-space-size=2']
/** glibc gives memory of large, short-lived blocks (password hashing) back only with a fixed threshold. */
const allocator = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_ARENA_MAX: '2' }
const watchFlags = ['--watch', '--watch-preserve-output']
const startTimeoutMs = 20_000
const stopTimeoutMs = 15_000

export interface ServiceOptions {
  /** Unique in the stack: `catalog-2`. */
  name: string
  /** The folder under apps/. */
  app: string
  env: Record<string, string>
  logFile: string
  watch: boolean
  supervisor: Supervisor
}

export interface Service {
  readonly name: string
  /** Resolves to the port once it listens. Rejects with the end of its log when it exits before. */
  started: Promise<number>
  port(): number
  pid(): number | undefined
  stop(): Promise<void>
}

interface State {
  child?: ChildProcess
  port: number
  keptAlive: KeepAlive
}

export function startService(options: ServiceOptions): Service {
  const state: State = { port: 0, keptAlive: keepAlive(options.name, options.supervisor) }
  mkdirSync(dirname(options.logFile), { recursive: true })
  return {
    name: options.name,
    started: launch(state, options),
    port: () => state.port,
    pid: () => state.child?.pid,
    stop: () => stop(state),
  }
}

function launch(state: State, options: ServiceOptions): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const log = openSync(options.logFile, 'a')
  const child = spawn(
    process.execPath,
    [...nodeFlags, ...(options.watch ? watchFlags : []), join(root, 'apps', options.app, 'main.ts')],
    {
      cwd: root,
      env: { ...inherited(), ...allocator, NODE_COMPILE_CACHE: compileCache, ...options.env },
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    },
  )
  closeSync(log)
  state.child = child
  const deadline = setTimeout(() => {
    reject(new Error(`${options.name} did not listen within ${startTimeoutMs / 1000} s; see ${options.logFile}`))
    child.kill('SIGKILL')
  }, startTimeoutMs)
  child.on('message', (message: { type?: string; port?: number }) => {
    if (message.type !== 'listening' || message.port === undefined) return
    state.port = message.port
    clearTimeout(deadline)
    resolve(message.port)
  })
  child.on('exit', (code, signal) => {
    clearTimeout(deadline)
    reject(
      new Error(`${options.name} stopped while starting (${signal ?? `exit code ${code}`}):\n${tail(options.logFile)}`),
    )
    if (state.port !== 0) state.keptAlive.died(` (${signal ?? `exit code ${code}`})`, () => launch(state, options))
  })
  return promise
}

async function stop(state: State): Promise<void> {
  state.keptAlive.stop()
  const { child } = state
  if (!child || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const deadline = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await gone
  clearTimeout(deadline)
}

/** A service sees the variables it is given, and of ours only those that any program needs. */
function inherited(): Record<string, string> {
  return Object.fromEntries(
    ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_EXTRA_CA_CERTS'].flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-15).join('\n')
}
