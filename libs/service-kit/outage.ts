/**
 * Is this failure the absence of something we depend on? Then the answer is 503 with Retry-After, for the request may be right and
 * may work in a moment. Drivers wrap each other (Prisma around pg, a breaker around ioredis), so the causes are looked through too.
 */
import { isRedisOutage } from '@shop/redis-kit/errors'

/** Postgres and Prisma under contention: serialization, deadlock, lock timeout. The same works a moment later, and at any instance. */
const contentionCodes = ['40001', '40P01', '55P03', 'P2034']

const outageCodes = new Set([
  ...contentionCodes,
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
  // Prisma: no transaction in time
  'P2028',
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

type Failure = Partial<Error> & { code?: unknown; errorCode?: unknown; kind?: unknown }

export function isDependencyOutage(error: unknown): boolean {
  return causesOf(error).some((cause) => isRedisOutage(cause) || looksLikeOutage(cause))
}

/** An outage of the one request that met another: unlike any other outage, it says nothing about the next request. */
export function isContention(error: unknown): boolean {
  return causesOf(error).some(({ code }) => contentionCodes.includes(String(code)))
}

function causesOf(error: unknown): Failure[] {
  const causes: Failure[] = []
  let current = error
  while (causes.length < maxCauses && typeof current === 'object' && current !== null) {
    causes.push(current)
    current = causeOf(current)
  }
  return causes
}

/** Prisma hides the driver's error of a raw query in `meta`. */
function causeOf(error: object): unknown {
  const { cause, meta } = error as { cause?: unknown; meta?: { driverAdapterError?: unknown } }
  return cause ?? meta?.driverAdapterError
}

function looksLikeOutage({ message = '', code, errorCode, kind }: Failure): boolean {
  return (
    outageCodes.has(String(code)) ||
    outageCodes.has(String(errorCode)) ||
    outageKinds.has(String(kind)) ||
    outageReplies.test(message)
  )
}
