/** How a service reaches Redis, from its configuration, and whether what it found there suits it. */
import { readFileSync } from 'node:fs'
import type { Redis, RedisOptions } from '@shop/redis-kit/client'
import { checkEvictionPolicy } from '@shop/redis-kit/eviction-policy'
import type { KeyRole } from '@shop/redis-kit/keys'
import { ConfigError } from './config.ts'
import type { Log } from './log.ts'

/**
 * Whom to trust for rediss:// URLs: the authority in REDIS_TLS_CA_FILE, or the system's when it is not set.
 * Throws a ConfigError when the file cannot be used: better at the start than at the first command.
 */
export function redisTls({ REDIS_TLS_CA_FILE: file }: { REDIS_TLS_CA_FILE?: string }): RedisOptions['tls'] {
  if (file === undefined) return undefined
  const problem = (found: string) =>
    new ConfigError([`REDIS_TLS_CA_FILE names ${file}, which ${found}: name the PEM file of the authority.`])
  let ca: Buffer
  try {
    ca = readFileSync(file)
  } catch (error) {
    throw problem(`cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw problem('holds no certificate')
  return { ca }
}

/** What happens once memory is full. Nothing shows before. */
const harm: Record<KeyRole, string> = {
  cache: 'when it is full it will refuse what should be cached',
  state: 'when it is full it will drop sessions, carts and events',
}

/**
 * Writes a warning when the server evicts what it must keep, or keeps what it should evict. Looks at the start and whenever the connection
 * is a new one, for it may be another server then; says the same thing once. Nothing waits for it, and nothing fails because of it.
 */
export function warnOfEviction(redis: Redis, { role, log }: { role: KeyRole; log: Pick<Log, 'warn'> }): void {
  let told: string | undefined
  redis.on('ready', look)
  if (redis.status === 'ready') void look()

  async function look(): Promise<void> {
    const eviction = await checkEvictionPolicy(redis, role)
    if (eviction.status === 'unknown') return
    const { status, policy } = eviction
    if (status === 'wrong' && policy !== told) {
      const { wanted } = eviction
      log.warn(
        { role, policy, wanted },
        `the ${role} Redis has maxmemory-policy ${policy}, set ${wanted}: ${harm[role]}`,
      )
    }
    told = policy
  }
}
