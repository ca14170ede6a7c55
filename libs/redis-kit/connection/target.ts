/**
 * Where Redis is, as one URL, so that a service needs one variable whatever the topology:
 *
 *     redis://user:password@host:6379                          one server; rediss:// for TLS, here and below
 *     redis+sentinel://user:password@s1:26379,s2:26379/main    the server that Sentinel calls the master of `main`
 *     redis+cluster://user:password@n1:6379,n2:6379            a Cluster, found through any of these nodes
 *
 * Sentinel's own password goes into the query: `?sentinel-password=…` (and `sentinel-username`). Where a Cluster or a Sentinel
 * announces addresses that are not reached from here, `nat` says which are: `?nat=10.0.0.5:6379=localhost:7001`, several of them
 * with commas.
 */

export interface Target {
  kind: 'standalone' | 'sentinel' | 'cluster'
  isTls: boolean
  nodes: Node[]
  username?: string
  password?: string
  /** Sentinel only: what the group of servers is called. */
  masterName?: string
  sentinelUsername?: string
  sentinelPassword?: string
  /** An address as it is announced -> as it is reached from here. */
  natMap?: Record<string, Node>
}

interface Node {
  host: string
  port: number
}

/** Not `URL`, which has no place for a list of hosts. */
const SHAPE =
  /^(?<scheme>rediss?)(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<username>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^/?#@]+)(?:\/(?<path>[^?#]*))?(?:\?(?<query>[^#]*))?$/i
const HOST_AND_PORT = /^(?:\[(?<ipv6>[\da-f:.]+)\]|(?<name>[^:[\]\s]+))(?::(?<port>\d{1,5}))?$/i
const DEFAULT_PORT = { standalone: 6379, sentinel: 26_379, cluster: 6379 }

/** Throws a TypeError that never quotes the URL: it holds the password. */
export function parseTarget(url: string): Target {
  const parts = SHAPE.exec(url)?.groups
  if (!parts) throw new TypeError('a Redis URL must look like redis://user:password@host:6379 (see target.ts)')
  const kind = (parts.kind?.toLowerCase() ?? 'standalone') as Target['kind']
  const query = new URLSearchParams(parts.query)
  const target: Target = {
    kind,
    isTls: parts.scheme?.toLowerCase() === 'rediss',
    nodes: (parts.hosts as string).split(',').map((host) => parseNode(host, DEFAULT_PORT[kind])),
    username: decode(parts.username),
    password: decode(parts.password),
    sentinelUsername: query.get('sentinel-username') ?? undefined,
    sentinelPassword: query.get('sentinel-password') ?? undefined,
    natMap: parseNatMap(query.getAll('nat'), kind),
  }
  if (kind === 'sentinel') {
    if (!parts.path) throw new TypeError('a redis+sentinel:// URL must end in /<name of the master>')
    return { ...target, masterName: decode(parts.path) }
  }
  if (kind === 'standalone' && target.nodes.length > 1) {
    throw new TypeError('a URL with several hosts must begin with redis+cluster:// or redis+sentinel://')
  }
  // A Cluster has only database 0, and so have several managed services.
  if (parts.path && parts.path !== '0') throw new TypeError('the database must be 0: databases do not isolate')
  return target
}

function parseNatMap(texts: string[], kind: Target['kind']): Target['natMap'] {
  if (texts.length === 0) return undefined
  if (kind === 'standalone')
    throw new TypeError('nat needs redis+cluster:// or redis+sentinel://: a single server announces no addresses')
  const pairs = texts
    .flatMap((text) => text.split(','))
    .map((pair) => {
      const [announced, reached, ...rest] = pair.split('=').map((address) => parseNode(address, 0))
      if (!announced?.port || !reached?.port || rest.length > 0) {
        throw new TypeError('nat in a Redis URL must be announced:port=reached:port, separated by commas')
      }
      return [`${announced.host}:${announced.port}`, reached] as const
    })
  return Object.fromEntries(pairs)
}

function parseNode(text: string, defaultPort: number): Node {
  const parts = HOST_AND_PORT.exec(text)?.groups
  const host = parts?.ipv6 ?? parts?.name
  if (!host) throw new TypeError('a Redis URL must name each node as host:port')
  const port = Number(parts?.port ?? defaultPort)
  if (port < 1 || port > 65_535) throw new TypeError('a port must be a number from 1 to 65535')
  return { host, port }
}

function decode(text: string | undefined): string | undefined {
  try {
    return text ? decodeURIComponent(text) : undefined
  } catch {
    throw new TypeError('a % in a user, a password or a name must be written %25')
  }
}
