/** What a server under test says about itself. */
import { connectPlain } from './plain-redis.ts'

export async function redisVersion(url: string): Promise<string> {
  const redis = connectPlain(url)
  try {
    const info = await redis.info('server')
    const valkey = /^valkey_version:(.+?)\r?$/m.exec(info)?.[1]
    return valkey ? `${valkey} (Valkey)` : (/^redis_version:(.+?)\r?$/m.exec(info)?.[1] ?? 'unknown')
  } finally {
    redis.disconnect()
  }
}
