/** What must be true before anything is started; each failure is one sentence that says what to do. */
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { findRedisServer } from '@shop/test-kit/redis-server'

/** Throws unless `port` can be listened on. */
export function requireFreePort(port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const probe = createServer()
  probe.once('error', (error: NodeJS.ErrnoException) => {
    const reason = error.code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${error.code})`
    reject(new Error(`Port ${port} ${reason}: stop what listens there, or choose another with --port N.`))
  })
  probe.listen({ port, host: '127.0.0.1' }, () => probe.close(() => resolve()))
  return promise
}

/** Finds redis-server or valkey-server, or installs it with the system's package manager after saying so. */
export function requireRedisServer(report: (line: string) => void): void {
  if (findRedisServer()) return
  const install = installCommand()
  if (install) {
    report(`redis-server is not installed. Installing it now: ${install.join(' ')}`)
    const [command = '', ...args] = install
    spawnSync(command, args, { stdio: 'inherit' })
    if (findRedisServer()) return
  }
  throw new Error(
    'No redis-server or valkey-server found and none could be installed: install Redis 7 or newer ' +
      '(https://redis.io/docs/latest/operate/oss_and_stack/install/), or start the shop with `docker compose up`.',
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
