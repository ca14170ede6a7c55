/** A Redis that exists already, checked before anything is started on it: each finding is one sentence. */
import { closeRedis, connectRedis, type Redis, whenReady } from '@shop/redis-kit/connection'
import { diagnose, type ReasonCode } from '@shop/redis-kit/connection/server/diagnosis'
import { checkEvictionPolicy } from '@shop/redis-kit/connection/server/eviction-policy'
import { parseTarget, type Target } from '@shop/redis-kit/connection/target'
import { redisTls } from '@shop/service-kit/storage/redis'
import type { Stage } from '../stage.ts'

const reachTimeoutMs = 5_000
const oldestMajor = 7

/** Resolves to what services are told. Throws with the option's name, what was found and what to do. */
export async function useRedis(
  role: 'cache' | 'state',
  url: string,
  stage: Stage,
): Promise<{ urlAs: () => string; part?: undefined }> {
  const option = `--redis-${role}`
  const target = targetOf(option, url)
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  let reason: Error | undefined
  const redis = connectRedis(url, {
    name: 'demo-check',
    tls: redisTls({
      REDIS_TLS_CA_FILE: stage.options.env?.findLast(({ name }) => name === 'REDIS_TLS_CA_FILE')?.value,
    }),
    commandTimeoutMs: 2_000,
    onError: (error) => {
      reason ??= error
      // Where there are several nodes the next one may answer.
      if (target.nodes.length === 1) failed.reject(error)
    },
  })
  try {
    await Promise.race([whenReady(redis, reachTimeoutMs), failed.promise])
    const problem = await problemOf(redis, target)
    if (problem !== undefined) throw new Error(`${option}: ${placeOf(target)} ${problem}`)
    await warnOfPolicy(redis, role, option, stage)
    return { urlAs: () => url }
  } catch (error) {
    if (error instanceof Error && error.message.startsWith(option)) throw error
    throw new Error(`${option}: ${placeOf(target)} ${unreachable(target, reason ?? error)}`, { cause: error })
  } finally {
    await closeRedis(redis)
  }
}

function targetOf(option: string, url: string): Target {
  try {
    return parseTarget(url)
  } catch (error) {
    const detail = (error as Error).message
    throw new Error(`${option} must be the URL of a Redis like redis://user:password@host:6379: ${detail}.`)
  }
}

async function problemOf(redis: Redis, { kind }: Target): Promise<string | undefined> {
  const info = await redis.info().catch(() => '')
  const version = /^(?:valkey_version|redis_version):(\S+)/m.exec(info)?.[1]
  if (version !== undefined && Number.parseInt(version, 10) < oldestMajor) {
    return `is version ${version}: the shop needs Redis ${oldestMajor} or newer, or Valkey.`
  }
  if (kind !== 'cluster' && /^cluster_enabled:1/m.test(info)) {
    return 'is a node of a Cluster: write the URL with redis+cluster:// and some of its nodes.'
  }
  if (/^role:slave/m.test(info)) return 'is a replica, which refuses writes: name its master.'
  return undefined
}

async function warnOfPolicy(
  redis: Redis,
  role: 'cache' | 'state',
  option: string,
  { supervisor }: Stage,
): Promise<void> {
  const eviction = await checkEvictionPolicy(redis, role)
  if (eviction.status !== 'wrong') return
  const { policy, wanted } = eviction
  supervisor.report(`${option}: maxmemory-policy is ${policy}; the ${role} role needs ${wanted}.`)
}

/** What to do about each reason. The others depend on the URL. */
const adviceOf: Partial<Record<ReasonCode, string>> = {
  WRONGPASS:
    'refuses the user or the password of the URL (WRONGPASS): correct them; % and other special characters must be percent-encoded.',
  NOAUTH: 'needs a password (NOAUTH): add it to the URL, redis://user:password@host:port.',
  NOPERM: 'does not allow this user a command that the shop needs (NOPERM): widen its ACL.',
  NO_CLUSTER: 'is not a Cluster: write redis:// instead of redis+cluster://.',
  UNKNOWN_HOST: 'has a host name that cannot be resolved: correct the host in the URL.',
  CERTIFICATE: 'has a certificate that is not trusted: name its authority with --env REDIS_TLS_CA_FILE=/path/ca.pem.',
}

function unreachable({ isTls, ...target }: Target, error: unknown): string {
  const { code, reason } = diagnose(error)
  const advice = adviceOf[code]
  if (advice !== undefined) return advice
  if (/unknown command/i.test(reason)) {
    return `does not support HELLO: the shop needs Redis ${oldestMajor} or newer, or Valkey.`
  }
  if (/ECONNREFUSED/.test(reason)) return 'refuses the connection: start the server there, or correct host and port.'
  if (code === 'NO_TLS') return `does not use TLS there: write redis:// instead of ${isTls ? 'rediss' : 'redis'}://.`
  if (target.kind === 'sentinel')
    return `has no master "${target.masterName}", or does not answer: correct the name after the slash.`
  if (code === 'LOADING') return 'is still loading its data: try again in a moment.'
  const [scheme, condition] = isTls ? ['redis', 'has no TLS'] : ['rediss', 'needs TLS']
  return `does not answer within ${reachTimeoutMs / 1_000} s: correct host and port, or write ${scheme}:// if the server ${condition}.`
}

function placeOf({ nodes }: Target): string {
  return `the Redis at ${nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(', ')}`
}
