/** How a service reaches Redis, from its configuration. */
import { readFileSync } from 'node:fs'
import type { RedisOptions } from '@shop/redis-kit/client'

/**
 * Whom to trust for rediss:// URLs: the authority in REDIS_TLS_CA_FILE, or the system's when it is not set.
 * Reads the file, and throws when it is not there: better at the start than at the first command.
 */
export function redisTls(config: { REDIS_TLS_CA_FILE?: string }): RedisOptions['tls'] {
  return config.REDIS_TLS_CA_FILE === undefined ? undefined : { ca: readFileSync(config.REDIS_TLS_CA_FILE) }
}
