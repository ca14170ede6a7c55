/** The variables without a default that a service needs, by its entry in the list of services: no more than it uses. */
import { type ServiceName, services } from '@shop/contracts/services'
import type { KeyRole } from '@shop/redis-kit/keys'

export interface EnvironmentSource {
  /** With the service as user. */
  redisUrl(role: KeyRole, service: string): string
  databaseUrl(service: string): string
  identity: { privateKey: string; publicKey: string }
}

export function serviceEnvironment(name: ServiceName, source: EnvironmentSource): Record<string, string> {
  const { redis, hasDatabase, isPublic } = services[name]
  const { privateKey, publicKey } = source.identity
  return {
    ...Object.fromEntries(redis.map((role) => [`REDIS_${role.toUpperCase()}_URL`, source.redisUrl(role, name)])),
    ...(isPublic ? { IDENTITY_PRIVATE_KEY: privateKey } : { IDENTITY_PUBLIC_KEY: publicKey }),
    ...(hasDatabase && { DATABASE_URL: source.databaseUrl(name) }),
  }
}
