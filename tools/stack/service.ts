/**
 * One service of the demo as a child process that is kept alive: what dies is started again, until it dies too often.
 *
 * A service runs in a session of its own, so Ctrl-C reaches only the stack, which stops the parts in order. It is tied
 * to the stack by its IPC channel: when the stack dies, however it dies, the channel closes and the service stops itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..', '..')
const startTimeoutMs = 20_000
const stopTimeoutMs = 15_000
const restartDelayMs = 1_000
const maxRestartsPerMinute = 5

export interface ServiceOptions {
  /** Unique in the stack: `catalog-2`. */
  name: string
  /** The folder under apps/. */
  app: string
  env: Record<string, string>
  logFile: string
  watch: boolean
  onRestart: (how: string) => void
  onGivenUp: (error: Error) => void
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
  isStopping: boolean
  restartTimer?: NodeJS.Timeout
  restartedAtMs: number[]
}

export function startService(options: ServiceOptions): Service {
  const state: State = { port: 0, isStopping: false, restartedAtMs: [] }
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
    [...(options.watch ? ['--watch', '--watch-preserve-output'] : []), join(root, 'apps', options.app, 'main.ts')],
    { cwd: root, env: { ...inherited(), ...options.env }, detached: true, stdio: ['ignore', log, log, 'ipc'] },
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
    if (!state.isStopping && state.port !== 0) restart(state, options, signal ?? `exit code ${code}`)
  })
  return promise
}

function restart(state: State, options: ServiceOptions, how: string) {
  const nowMs = Date.now()
  state.restartedAtMs = [...state.restartedAtMs.filter((atMs) => atMs > nowMs - 60_000), nowMs]
  if (state.restartedAtMs.length > maxRestartsPerMinute) {
    options.onGivenUp(
      new Error(`${options.name} died ${maxRestartsPerMinute} times in a minute; see ${options.logFile}`),
    )
    return
  }
  options.onRestart(how)
  state.restartTimer = setTimeout(() => launch(state, options).catch(options.onGivenUp), restartDelayMs)
}

async function stop(state: State): Promise<void> {
  state.isStopping = true
  clearTimeout(state.restartTimer)
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
