/** What must be true before anything is started; each failure is one sentence that says what to do. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { makeFolder } from '@shop/test-kit/folder'
import { findRedisServer } from '@shop/test-kit/redis-server'

const oldestRedisMajor = 7
/** Empty databases of Postgres take 60 MB, its log files up to 100 MB more. */
const neededDiskMb = 300

/** Throws unless `port` of `host` can be listened on. `option` is what the person would change. */
export function requireFreePort(port: number, host: string, option: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const probe = createServer()
  probe.once('error', ({ code }: NodeJS.ErrnoException) => reject(new Error(portProblem(port, host, option, code))))
  probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve()))
  return promise
}

/** Throws for a port that fetch and browsers refuse to connect to, as they do for those of X11 (6000) and IRC (6667). */
export async function requireVisitablePort(port: number, option: string): Promise<void> {
  const refusal = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(1_000) }).catch(
    (error: Error & { cause?: { message?: string } }) => error.cause?.message,
  )
  if (refusal === 'bad port') throw new Error(`Browsers refuse port ${port}: choose another port with ${option}.`)
}

function portProblem(port: number, host: string, option: string, code = ''): string {
  if (code === 'EADDRINUSE')
    return `Port ${port} is in use: stop the process there, or choose another port with ${option}.`
  if (code === 'EACCES')
    return `Port ${port} needs more rights than this user has: choose a port from 1024 with ${option}.`
  if (code === 'EADDRNOTAVAIL') {
    return `--host ${host} is not an address of this machine: use 0.0.0.0 for all addresses, or one of ${addresses().join(', ')}.`
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return `--host ${host} cannot be resolved: use 0.0.0.0 for all addresses, or one of ${addresses().join(', ')}.`
  }
  return `Port ${port} of ${host} cannot be opened (${code}): choose another port with ${option}.`
}

/** IPv4 addresses of this machine. */
export function addresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.filter(({ family }) => family === 'IPv4').map(({ address }) => address)
}

/** Makes the folder. Throws unless it can be written to and has room. */
export function requireDataDir(dataDir: string): void {
  try {
    makeFolder(dataDir)
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(`The data folder ${dataDir} ${folderProblem(code)}: choose another folder with --data DIR.`)
  }
  const { bavail, bsize } = statfsSync(dataDir)
  const freeMb = Math.floor((bavail * bsize) / 1024 ** 2)
  if (freeMb < neededDiskMb) {
    throw new Error(
      `The disk of ${dataDir} has ${freeMb} MB left, but the shop needs ${neededDiskMb}: free space, or choose another folder with --data DIR.`,
    )
  }
}

function folderProblem(code = ''): string {
  if (code === 'EEXIST' || code === 'ENOTDIR') return 'is a file, or lies below one'
  if (code === 'EACCES' || code === 'EPERM') return 'is not writable by this user'
  if (code === 'EROFS') return 'is on a read-only file system'
  return `cannot be created (${code})`
}

/** Finds redis-server or valkey-server, or installs it with the system's package manager after saying so. Throws unless it is new enough. */
export function requireRedisServer(report: (line: string) => void): void {
  const file = findRedisServer() ?? installRedisServer(report)
  const { stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' })
  const version = /\bv=(\d[\d.]*)/.exec(stdout ?? '')?.[1]
  if (version !== undefined && Number.parseInt(version, 10) >= oldestRedisMajor) return
  const what = version === undefined ? 'does not print its version' : `is version ${version}`
  throw new Error(
    `${file} ${what}: the shop needs Redis ${oldestRedisMajor} or newer; install it, or name a running one with --redis URL.`,
  )
}

function installRedisServer(report: (line: string) => void): string {
  const install = installCommand()
  if (install) {
    report(`redis-server is not installed. Installing it now: ${install.join(' ')}`)
    const [command = '', ...args] = install
    spawnSync(command, args, { stdio: 'inherit' })
  }
  const installed = findRedisServer()
  if (installed) return installed
  throw new Error(
    'No redis-server or valkey-server found, and the installation failed: install Redis 7 or newer ' +
      '(https://redis.io/docs/latest/operate/oss_and_stack/install/), name a running one with --redis URL, ' +
      'or start the shop with `docker compose up`.',
  )
}

function installCommand(): string[] | undefined {
  if (isOnPath('apt-get')) {
    const command = ['sh', '-c', 'apt-get update -qq && apt-get install -y -qq redis-server']
    if (process.getuid?.() === 0) return command
    return isOnPath('sudo') && process.stdin.isTTY ? ['sudo', ...command] : undefined
  }
  return isOnPath('brew') ? ['brew', 'install', 'redis'] : undefined
}

function isOnPath(command: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', command], { stdio: 'ignore' }).status === 0
}
