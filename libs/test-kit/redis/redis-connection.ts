/** A plain ioredis connection for the URLs that tests have: redis://, rediss:// and redis+cluster://user:pw@h1:p1,h2:p2. */
import { Cluster, Redis, type RedisOptions } from 'ioredis'

export function openRedis(url: string, options: RedisOptions = {}): Redis | Cluster {
  const connection = open(url, options)
  connection.on('error', () => {}) // told by the command that fails; without a listener ioredis prints it as well
  return connection
}

function open(url: string, options: RedisOptions): Redis | Cluster {
  const cluster = /^redis(s?)\+cluster:\/\/(?:([^:@/]*):([^@/]*)@)?([^/?]+)/.exec(url)
  if (!cluster) return new Redis(url, options)
  const [, secure, username, password, hosts = ''] = cluster
  const nodes = hosts.split(',').map((host) => `redis://${host}`)
  return new Cluster(nodes, {
    redisOptions: {
      ...(username && { username: decodeURIComponent(username) }),
      ...(password && { password: decodeURIComponent(password) }),
      ...(secure && { tls: {} }),
      ...options,
    },
  })
}
