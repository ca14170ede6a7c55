/**
 * Is this failure the absence of something we depend on? Then the answer is 503 with Retry-After, for the request may be right and
 * may work in a moment. Drivers wrap each other (Prisma around pg, a breaker around ioredis), so the causes are looked through too.
 */
import { isRedisOutage, RedisNotPermitted } from '@shop/redis-kit/errors'
import { verdictOn } from './postgres-errors.ts'

/** Postgres and Prisma under contention: serialization, deadlock, lock timeout. The same works a moment later, and at any instance. */
const contentionCodes = ['40001', '40P01', '55P03', 'P2034']

const outageCodes = new Set([
  ...contentionCodes,
  // redis-kit, as seen through something that kept only the code
  'REDIS_UNAVAILABLE',
  'REDIS_OUTCOME_UNKNOWN',
  'REDIS_OVERLOADED',
  // no session of Postgres, for any reason; what Postgres itself says is decided in postgres-errors.ts
  'POSTGRES_NOT_CONNECTED',
  // Prisma: refused, cannot reach, timed out, no such database, no access, TLS, closed, pool exhausted, too many connections
  'P1000',
  'P1001',
  'P1002',
  'P1003',
  'P1008',
  'P1010',
  'P1011',
  'P1017',
  'P2024',
  'P2037',
  // Prisma: no transaction in time
  'P2028',
  // redis-kit's breaker, retry and cache: asked too much of something that is slow or away
  'BREAKER_OPEN',
  'BREAKER_TIMEOUT',
  'DEADLINE_EXCEEDED',
  'CACHE_LOADER_OVERLOADED',
  'CACHE_LOAD_TIMEOUT',
  // sockets and TLS
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPROTO',
  'EPIPE',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
])

/** Kinds of Prisma's driver adapter error, which has no code. */
const outageKinds = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TooManyConnections',
  'TlsConnectionError',
  'AuthenticationFailed',
  'DatabaseAccessDenied',
  'DatabaseDoesNotExist',
])

/** Failures that pg and its pool report without a code. The last two: a statement on a connection that broke before it. */
const outageReplies = new RegExp(
  [
    '^timeout exceeded when trying to connect$',
    '^timeout expired$',
    '^Connection terminated',
    '^Client (has encountered a connection error|was closed) and is not queryable$',
  ].join('|'),
)

const maxCauses = 5

type Failure = Partial<Error> & { code?: unknown; errorCode?: unknown; originalCode?: unknown; kind?: unknown }

export function isDependencyOutage(error: unknown): boolean {
  return causesOf(error).some((cause) => isRedisOutage(cause) || looksLikeOutage(cause))
}

/**
 * Is this failure none of the event's own? Then its handler waits, however long, and the event is no dead letter. Outages, and what only a
 * person can mend: a right or a table that is missing fails every event alike.
 */
export function eventMustWait(error: unknown): boolean {
  return isDependencyOutage(error) || causesOf(error).some(needsSetup)
}

function needsSetup(cause: Failure): boolean {
  return cause instanceof RedisNotPermitted || verdictsOn(cause).includes('setup')
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

function looksLikeOutage(cause: Failure): boolean {
  const { message = '', code, errorCode, kind } = cause
  return (
    outageCodes.has(String(code)) ||
    outageCodes.has(String(errorCode)) ||
    outageKinds.has(String(kind)) ||
    outageReplies.test(message) ||
    verdictsOn(cause).includes('outage')
  )
}

/** Prisma keeps Postgres' own code as `originalCode`. */
function verdictsOn({ code, originalCode }: Failure) {
  return [verdictOn(code), verdictOn(originalCode)]
}
