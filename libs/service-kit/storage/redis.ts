/** How a service reaches Redis, from its configuration, and whether what it found there suits it. */
import { readFileSync } from 'node:fs'
import type { ConnectionChange, OnStateChange, Redis, RedisOptions } from '@shop/redis-kit/connection'
import { checkEvictionPolicy } from '@shop/redis-kit/connection/server/eviction-policy'
import type { KeyRole } from '@shop/redis-kit/keys'
import { ConfigError } from '../process/config.ts'
import type { Log } from '../telemetry/log.ts'

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

/** A forgotten loss is logged once more. */
const maxPlaces = 256

/** What to change when a connection has never worked. */
const advice: Record<string, (url: string) => string> = {
  WRONGPASS: (url) => `check user and password in ${url}`,
  NOAUTH: (url) => `the server needs a password: add it to ${url}`,
  NOPERM: (url) => `the user in ${url} lacks a right`,
  CERTIFICATE: (url) => `check REDIS_TLS_CA_FILE, and that the certificate is for the host in ${url}`,
  NO_TLS: (url) => `check that the port in ${url} uses TLS; if not, write redis://`,
  TLS_EXPECTED: (url) => `check whether the port in ${url} uses TLS; if so, write rediss://`,
  NO_CLUSTER: (url) => `the server is not a Cluster: write ${url} without +cluster`,
  NO_SUCH_MASTER: (url) => `check the name of the master at the end of ${url}`,
  UNKNOWN_HOST: (url) => `check the host in ${url}`,
  UNREACHABLE: (url) => `start the server, or check host and port in ${url}`,
}

/**
 * Writes one line when a connection is lost, one when it is restored, and one per reason why it cannot be made: with the server's own
 * words and, if it has never worked, with what to change. Pass the result to every connection to that server; those of one name (the
 * readers of a stream's partitions) are told as one.
 */
export function logRedisState({
  role,
  log,
}: {
  role: KeyRole
  log: Pick<Log, 'info' | 'warn' | 'error'>
}): OnStateChange {
  const url = `REDIS_${role.toUpperCase()}_URL`
  const places = new Map<string, { hasWorked: boolean; told?: string }>()

  return function logChange({ state, name, reason, code = '', node, afterMs }: ConnectionChange): void {
    const key = `${name} ${node ?? ''}`
    const place = places.get(key) ?? { hasWorked: state === 'lost' || state === 'restored' }
    places.set(key, place)
    if (places.size > maxPlaces) places.delete(places.keys().next().value ?? key)
    const fields = { redis: role, connection: name, node, code, reason, afterMs }
    if (state === 'connected' || state === 'restored') {
      if (place.told) log.info(fields, `${role} redis connection ${place.hasWorked ? 'restored' : 'established'}`)
      // The address of a node may be gone for good: only its troubles are remembered.
      if (node === undefined) places.set(key, { hasWorked: true })
      else places.delete(key)
    } else if (place.told !== code) {
      place.told = code
      if (place.hasWorked) log.warn(fields, `${role} redis connection lost: ${reason}`)
      else log.error(fields, `${role} redis connection not established: ${reason}${toDo(code, url)}`)
    }
  }
}

function toDo(code: string, url: string): string {
  const text = advice[code]?.(url)
  return text ? `; ${text}` : ''
}

/** What happens once memory is full. Nothing shows before. */
const harm: Record<KeyRole, string> = {
  cache: 'once full, it refuses new cache entries',
  state: 'once full, it evicts sessions, carts and events',
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
        `${role} redis misconfigured: maxmemory-policy is ${policy}, set ${wanted}; ${harm[role]}`,
      )
    }
    told = policy
  }
}
