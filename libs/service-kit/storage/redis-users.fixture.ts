/**
 * A Redis of a test's own with the users that the containers have: a right that a service lacks fails in its first test, and not in
 * production. The test itself looks in as an administrator.
 */
import { randomBytes } from 'node:crypto'
import { serviceNames } from '@shop/contracts/services'
import { aclFile } from '@shop/redis-kit/acl'
import type { KeyRole } from '@shop/redis-kit/keys'
import { type RedisOptions, type RedisServer, startRedis } from '@shop/test-kit/redis-server'
import { readKeyFamilies } from './key-families.ts'

export interface RedisWithUsers extends RedisServer {
  /** As one of the services. `url` is the administrator's. */
  urlAs(service: string): string
}

export async function startRedisWithUsers(role: KeyRole, config: RedisOptions['config'] = {}): Promise<RedisWithUsers> {
  const passwords = Object.fromEntries(serviceNames.map((name) => [name, randomBytes(9).toString('base64url')]))
  const admin = { username: 'admin', password: randomBytes(9).toString('base64url') }
  const users = aclFile(role, await readKeyFamilies(), passwords)
  const acl = `${users}user ${admin.username} on >${admin.password} allkeys allchannels allcommands\n`
  const server = await startRedis({ ...admin, acl, config })
  return Object.assign(server, { urlAs })

  function urlAs(service: string): string {
    if (!users.includes(`\nuser ${service} `)) throw new Error(`${service} declares no key on the ${role} Redis`)
    return `redis://${service}:${passwords[service]}@127.0.0.1:${server.port}`
  }
}
