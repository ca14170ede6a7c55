/**
 * One server program as a child process: its log is kept for error messages, it can be stopped, frozen and killed, and
 * it does not outlive the process that started it.
 *
 * The last point needs a helper. `process.on('exit')` never runs after SIGKILL, out of memory or a crash, which is how
 * test runners end workers that hang. So every server gets a guard: a shell that reads from a pipe whose other end only
 * we hold. A line means "stopped in order, go"; end of file means that we are gone, and the guard stops the server and
 * removes its folder. It costs one sleeping process and works on every Unix.
 *
 * Server and guard run in sessions of their own: Ctrl-C in a terminal reaches the tool that started them and not them,
 * so that the tool can stop its own work first and the servers last.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

const LOG_LIMIT_CHARS = 16_000
const POLL_MS = 10
const LAST_LINES_MS = 200

export interface ServerProcessOptions {
  /** For error messages. */
  name: string
  command: string
  args: string[]
  /** Written to the program's standard input: the place for secrets, since arguments can be read by every user. */
  input?: string
  cwd?: string
  env?: NodeJS.ProcessEnv
  uid?: number
  gid?: number
  /** What asks this program to stop in order. @default SIGTERM */
  stopSignal?: NodeJS.Signals
  /** How long `stop` waits before SIGKILL. @default 10000 */
  stopTimeoutMs?: number
  /** What the guard sends when we are gone. @default stopSignal */
  orphanSignal?: NodeJS.Signals
  /** Hears what a Node program says by `process.send`. */
  onMessage?: (message: unknown) => void
  /** A folder the guard removes when we are gone. In the usual case the caller removes it after `stop`. */
  orphanDir?: string
}

export interface ServerProcess {
  readonly pid: number
  hasExited(): boolean
  /** Resolves when the program is gone, however it went. */
  exited: Promise<Exit>
  /** The end of what the program wrote, both streams. */
  log(): string
  signal(signal: NodeJS.Signals): void
  /** Stops in order, by SIGKILL after the deadline. Resolves when the program is gone; may be called twice. */
  stop(): Promise<Exit>
}

/** One of the two: a program returns a code, or a signal ends it. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export function spawnServer(options: ServerProcessOptions): ServerProcess {
  const { command, args, input, cwd, env, uid, gid, stopSignal = 'SIGTERM', stopTimeoutMs = 10_000 } = options
  const ipc = options.onMessage ? (['ipc'] as const) : []
  const child = spawn(command, args, { cwd, env, uid, gid, detached: true, stdio: ['pipe', 'pipe', 'pipe', ...ipc] })
  if (options.onMessage) child.on('message', options.onMessage)
  const log = keepLog(child)
  child.stdin?.on('error', () => {}) // it may exit before it has read: its log says why
  child.stdin?.end(input)
  const guard = child.pid === undefined ? undefined : startGuard(child.pid, options)
  const exited = waitForExit(child, log).then(async () => {
    await guard?.release()
    return { code: child.exitCode, signal: child.signalCode }
  })
  const hasExited = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined

  async function stop() {
    if (!hasExited()) {
      child.kill(stopSignal)
      const deadline = AbortSignal.timeout(stopTimeoutMs)
      deadline.addEventListener('abort', () => child.kill('SIGKILL'))
    }
    return exited
  }

  return {
    pid: child.pid ?? -1,
    hasExited,
    exited,
    log: () => log.text,
    signal: (signal) => void child.kill(signal),
    stop,
  }
}

/** A program that did not come up, with what it wrote. */
export class StartError extends Error {
  readonly log: string
  constructor(message: string, log: string) {
    super(`${message}:\n${log}`)
    this.name = 'StartError'
    this.log = log
  }
}

export interface Readiness {
  name: string
  timeoutMs: number
  isReady: () => Promise<boolean>
  /** Stops the program and ends the wait with the signal's reason. */
  signal?: AbortSignal
}

/** Polls `isReady` until it says yes. Throws a StartError when the program exits first or the deadline passes. */
export async function untilReady(server: ServerProcess, { name, timeoutMs, isReady, signal }: Readiness) {
  const deadlineMs = Date.now() + timeoutMs
  for (;;) {
    if (server.hasExited()) {
      await server.exited
      throw new StartError(`${name} stopped while starting`, server.log())
    }
    if (signal?.aborted) {
      await server.stop()
      throw signal.reason
    }
    if (await isReady()) return
    if (Date.now() > deadlineMs) {
      server.signal('SIGKILL')
      await server.exited
      throw new StartError(`${name} was not ready within ${timeoutMs} ms`, server.log())
    }
    await sleep(POLL_MS)
  }
}

function keepLog(child: ChildProcess): { text: string } {
  const log = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (chunk: string) => {
      log.text = (log.text + chunk).slice(-LOG_LIMIT_CHARS)
    })
  }
  return log
}

/** 'close' soon follows 'exit', with the last lines of the log, which say why; unless a grandchild keeps the pipe open. */
function waitForExit(child: ChildProcess, log: { text: string }): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => setTimeout(resolve, LAST_LINES_MS).unref())
    child.once('close', () => resolve())
    child.on('error', (error) => {
      log.text += `${error.message}\n`
      if (child.pid === undefined) resolve()
    })
  })
}

/** $1 pid, $2 signal, $3 folder or nothing. Up to 5 s to stop in order, then SIGKILL. */
const GUARD_SCRIPT = `
read -r _ && exit 0
kill -s "$2" "$1" 2>/dev/null
[ "$2" = KILL ] && tries=50 || tries=0
while [ $tries -lt 50 ] && kill -0 "$1" 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done
kill -s KILL "$1" 2>/dev/null
[ -n "$3" ] && rm -rf -- "$3"
`

function startGuard(pid: number, { stopSignal, orphanSignal, orphanDir }: ServerProcessOptions) {
  const signal = (orphanSignal ?? stopSignal ?? 'SIGTERM').replace(/^SIG/, '')
  const guard = spawn('/bin/sh', ['-c', GUARD_SCRIPT, 'guard', String(pid), signal, orphanDir ?? ''], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.unref()
  guard.on('error', () => {}) // a system without /bin/sh: servers work, only the guarantee is lost
  guard.stdin?.on('error', () => {})
  const gone = new Promise<void>((resolve) => {
    guard.once('exit', () => resolve())
    guard.once('error', () => resolve())
  })
  /** From here on the guard touches nothing: the pid may soon belong to somebody else. */
  async function release() {
    guard.ref()
    guard.stdin?.end('stopped\n')
    await gone
  }
  return { release }
}
