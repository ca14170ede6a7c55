/** The walk over one server, as the user `viewer`. */
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import type { KeyRole } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { describeWalk, walkKeyspace } from './walk.ts'

const connectTimeoutMs = 10_000
const commandTimeoutMs = 5_000

/** Resolves to one line of figures, and one line per problem. Rejects when the server does not answer. */
export async function walkServer(url: string, role: KeyRole): Promise<{ line: string; problems: string[] }> {
  const redis = connectRedis(url, { name: 'keyspace-walk', commandTimeoutMs })
  try {
    await whenReady(redis, connectTimeoutMs)
    const walk = await walkKeyspace(redis, { role, families: await readKeyFamilies() })
    const problems = describeWalk(`redis-${role}`, walk)
    return { line: `redis-${role}: ${walk.keyCount} keys walked, ${problems.length} problems`, problems }
  } finally {
    await closeRedis(redis)
  }
}
