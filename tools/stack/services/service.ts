/**
 * One service of the demo as a child process that is kept alive.
 *
 * A service runs in a session of its own, so Ctrl-C reaches only the stack, which stops the parts in order. It is tied
 * to the stack by its IPC channel: when the stack dies, however it dies, the channel closes and the service stops itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeFolder } from '@shop/test-kit/folder'
import { type KeptAlive, keepAlive, type Restarted, type Running, type Supervisor } from '../keep-alive.ts'
import { reasonIn } from './failed-start.ts'

const root = join(import.meta.dirname, '..', '..', '..')
/** Also for main.ts itself: a second start compiles nothing. */
const compileCache = join(root, 'node_modules', '.cache', 'redis-shop')
/** Six services on one laptop: a small nursery for new objects saves 20 to 40 MB each, for a little more garbage collection. */
const nodeFlags = ['--max-semi-space-size=2']
/** glibc gives memory of large, short-lived blocks (password hashing) back only with a fixed threshold. */
const allocator = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_ARENA_MAX: '2' }
/** A start takes a second or two; this is for a machine that does much else. */
const startTimeoutMs = 60_000
const stopTimeoutMs = 15_000

export interface ServiceOptions {
  /** Unique in the stack: `catalog-2`. */
  name: string
  /** The folder under apps/. */
  app: string
  env: Record<string, string>
  logFile: string
  /** The debugger's port. @default none */
  inspectPort?: number
  supervisor: Supervisor
}

export interface Service {
  readonly name: string
  readonly app: string
  /** Resolves once it listens. Rejects with what it said when it exits before. */
  started: Promise<void>
  port(): number
  pid(): number | undefined
  isRunning(): boolean
  /** In order, as for a new version; does not count as a failure. A service that is down is started. */
  restart(): Promise<Restarted>
  stop(): Promise<void>
}

interface State {
  child?: ChildProcess
  port: number
  isStopped: boolean
  keptAlive?: KeptAlive
}

export function startService(options: ServiceOptions): Service {
  const { name, app, supervisor } = options
  const state: State = { port: 0, isStopped: false }
  makeFolder(dirname(options.logFile))
  const started = launch(state, options).then((running) => {
    if (!state.isStopped) state.keptAlive = keepAlive(name, running, () => launch(state, options), supervisor)
  })
  return {
    name,
    app,
    started,
    port: () => state.port,
    pid: () => state.child?.pid,
    isRunning: () => isAlive(state.child),
    restart: () => restart(state),
    stop: () => stop(state),
  }
}

function launch(state: State, options: ServiceOptions): Promise<Running> {
  const { promise, resolve, reject } = Promise.withResolvers<Running>()
  const { child, logged } = spawnService(options)
  state.child = child
  const exited = new Promise<string>((settle) => {
    child.once('exit', (code, signal) => settle(signal ?? `exit code ${code}`))
    child.once('error', (error) => settle(error.message))
  })
  const deadline = setTimeout(() => {
    reject(new Error(`${options.name} did not listen within ${startTimeoutMs / 1000} s; see ${options.logFile}`))
    child.kill('SIGKILL')
  }, startTimeoutMs)
  child.on('message', (message: { type?: string; port?: number; text?: string }) => {
    if (message.type === 'not-permitted') options.supervisor.report(`${options.name}: ${message.text}`)
    if (message.type !== 'listening' || message.port === undefined) return
    state.port = message.port
    clearTimeout(deadline)
    resolve({ exited })
  })
  exited.then((how) => {
    clearTimeout(deadline)
    reject(new Error(logged() || `${options.name} stopped while starting (${how}); see ${options.logFile}`))
  })
  return promise
}

/** `logged` tells what this process wrote for people: its lines that are not JSON, without stacks. */
function spawnService({ app, env, logFile, inspectPort }: ServiceOptions) {
  const log = openSync(logFile, 'a')
  const logStart = fstatSync(log).size
  const inspect = inspectPort === undefined ? [] : [`--inspect=127.0.0.1:${inspectPort}`]
  const child = spawn(process.execPath, [...nodeFlags, ...inspect, join(root, 'apps', app, 'main.ts')], {
    cwd: root,
    env: { ...inherited(), ...allocator, NODE_COMPILE_CACHE: compileCache, ...env },
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log)
  return { child, logged: () => reasonIn(readFileSync(logFile).subarray(logStart).toString()) }
}

async function restart({ child, keptAlive }: State): Promise<Restarted> {
  if (keptAlive === undefined) return { status: 'superseded' }
  if (!isAlive(child)) return keptAlive.retry()
  const restarted = keptAlive.expectEnd()
  void end(child)
  return restarted
}

async function stop(state: State): Promise<void> {
  state.isStopped = true
  state.keptAlive?.stop()
  if (isAlive(state.child)) await end(state.child)
}

async function end(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const deadline = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await gone
  clearTimeout(deadline)
}

function isAlive(child: ChildProcess | undefined): child is ChildProcess {
  return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
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
