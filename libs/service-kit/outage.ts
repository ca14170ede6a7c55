/**
 * Is this failure the absence of something we depend on? Then the answer is 503 with Retry-After, for the request may be right and
 * may work in a moment. Drivers wrap each other (Prisma around pg, a breaker around ioredis), so the causes are looked through too.
 */
import { isRedisOutage } from '@shop/redis-kit/errors'

const outageCodes = new Set([
  // redis-kit, as seen through something that kept only the code
  'REDIS_UNAVAILABLE',
  'REDIS_OUTCOME_UNKNOWN',
  'REDIS_OVERLOADED',
  // Prisma: cannot reach, timed out, closed, pool exhausted, too many connections
  'P1001',
  'P1002',
  'P1008',
  'P1017',
  'P2024',
  'P2037',
  // Postgres: shutting down, crashed, starting, idle for too long, a standby or closed for writes, connection exceptions
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '25P03',
  '25P04',
  '25006',
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  // Postgres: out of connections, memory or disk; the disk fails; statement timeout
  '53000',
  '53100',
  '53200',
  '53300',
  '53400',
  '58000',
  '58030',
  '57014',
  // Postgres and Prisma under contention: serialization, deadlock, lock timeout, no transaction in time. The same works a moment later.
  '40001',
  '40P01',
  '55P03',
  'P2028',
  'P2034',
  // redis-kit's breaker, retry and cache: asked too much of something that is slow or away
  'BREAKER_OPEN',
  'BREAKER_TIMEOUT',
  'DEADLINE_EXCEEDED',
  'CACHE_LOADER_OVERLOADED',
  'CACHE_LOAD_TIMEOUT',
  // sockets
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
])

/** Kinds of Prisma's driver adapter error, which has no code. */
const outageKinds = new Set(['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TooManyConnections'])

/** Failures that pg and its pool report without a code. The last two: a statement on a connection that broke before it. */
const outageReplies =
  /^timeout exceeded when trying to connect$|^timeout expired$|^Connection terminated|^Client (has encountered a connection error|was closed) and is not queryable$/

const maxCauses = 5

export function isDependencyOutage(error: unknown): boolean {
  let current = error
  for (let depth = 0; depth < maxCauses && typeof current === 'object' && current !== null; depth += 1) {
    if (
      isRedisOutage(current) ||
      looksLikeOutage(current as Partial<Error> & { code?: unknown; errorCode?: unknown; kind?: unknown })
    )
      return true
    current = causeOf(current)
  }
  return false
}

/** Prisma hides the driver's error of a raw query in `meta`. */
function causeOf(error: object): unknown {
  const { cause, meta } = error as { cause?: unknown; meta?: { driverAdapterError?: unknown } }
  return cause ?? meta?.driverAdapterError
}

function looksLikeOutage({
  message = '',
  code,
  errorCode,
  kind,
}: Partial<Error> & { code?: unknown; errorCode?: unknown; kind?: unknown }): boolean {
  return (
    outageCodes.has(String(code)) ||
    outageCodes.has(String(errorCode)) ||
    outageKinds.has(String(kind)) ||
    outageReplies.test(message)
  )
}
