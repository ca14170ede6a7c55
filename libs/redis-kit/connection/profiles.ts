/**
 * What we tell ioredis for each role of a connection, and why. ioredis' defaults suit a script that should get its answer in
 * the end; a service has to answer its own caller in time, and to know what happened. See docs/decisions/0002.
 */
import type { ClusterOptions, NatMap, RedisOptions, SentinelAddress } from 'ioredis'
import { replyWord } from '../errors.ts'
import { fullJitterMs } from '../flow/backoff.ts'
import type { Target } from './target.ts'

export interface Tls {
  ca?: string | Buffer
  cert?: string | Buffer
  key?: string | Buffer
}

export interface Profile {
  /** Shown by CLIENT LIST. */
  name: string
  /** With an answer due and no byte for so long, the connection counts as dead and is replaced. */
  silenceMs: number
  /** The longest pause between two attempts to connect. @default 2000 */
  reconnectMaxMs?: number
  tls?: Tls
  natMap?: NatMap
}

const CONNECT_TIMEOUT_MS = 2000
const RECONNECTION = { baseMs: 50, capMs: 2000 }
/** A Cluster node that refuses so often in a row is given up, until the slots say that it is back. */
const MAX_NODE_ATTEMPTS = 8

/** When a server comes back, its thousand clients must not come back in step. */
export const reconnectDelayMs = (attempt: number, capMs = RECONNECTION.capMs): number =>
  fullJitterMs(attempt, { ...RECONNECTION, capMs })

/** In a script's error too. */
export const isDemotion = ({ message }: Error): boolean => replyWord(message) === 'READONLY'

/** For every connection to a server that executes commands. */
export function serverOptions(target: Target, { name, silenceMs, reconnectMaxMs, tls }: Profile): RedisOptions {
  return {
    username: target.username,
    password: target.password,
    connectionName: name.replace(/[^!-~]+/g, '-'), // the server refuses spaces
    tls: target.isTls ? { ...tls } : undefined,

    // Nothing is kept for later behind the caller's back: the gate holds commands back itself, for a bounded time.
    enableOfflineQueue: false,
    // When a connection closes, all that was in flight on it fails at once: sending it again would execute it twice.
    // (`autoResendUnfulfilledCommands: false` alone drops those commands without settling their promises.)
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,

    // `commandTimeout` would only reject the promise: a dead connection would be used for ever. `socketTimeout` closes it.
    // Deadlines are the gate's, which also knows whether the command had been sent.
    socketTimeout: silenceMs,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: 500,
    keepAlive: 10_000,
    noDelay: true,

    retryStrategy: (attempt) => reconnectDelayMs(attempt, reconnectMaxMs),
    maxLoadingRetryTime: 1000,
    // After a failover we may be talking to a replica. 1 = reconnect and let the command fail; 2 would resend it.
    reconnectOnError: (error) => (isDemotion(error) ? 1 : false),
    // CLIENT SETINFO is unknown to Redis 7.0 and would fill the ACL log of a user without it.
    disableClientInfo: true,
  }
}

export function sentinelOptions(target: Target, profile: Profile): RedisOptions {
  return {
    ...serverOptions(target, profile),
    sentinels: target.nodes as SentinelAddress[],
    name: target.masterName,
    sentinelUsername: target.sentinelUsername,
    sentinelPassword: target.sentinelPassword,
    enableTLSForSentinelMode: target.isTls,
    sentinelTLS: target.isTls ? { ...profile.tls } : undefined,
    sentinelCommandTimeout: 1000,
    // Always a number: anything else would end the client for good.
    sentinelRetryStrategy: (attempt) => reconnectDelayMs(attempt, profile.reconnectMaxMs),
    // Off, on purpose: it hears of a switch from the Sentinels, but when it hears of it while ioredis is asking them for the
    // new master, it makes that attempt fail for good and the client ends. A closed connection, `socketTimeout` and
    // READONLY lead to the same question without it.
    failoverDetector: false,
    natMap: profile.natMap,
  }
}

export function clusterOptions(target: Target, profile: Profile): ClusterOptions {
  const { enableOfflineQueue: _, retryStrategy: __, ...redisOptions } = serverOptions(target, profile)
  const delayMs = (attempt: number) => reconnectDelayMs(attempt, profile.reconnectMaxMs)
  return {
    redisOptions,
    enableOfflineQueue: false,
    scaleReads: 'master', // a replica may be behind: whoever can live with that should say so per read
    maxRedirections: 8,
    // ioredis resends after a lost connection ("failover") and after CLUSTERDOWN. The first may execute twice.
    // Following MOVED, ASK and TRYAGAIN is safe: the server says that it has not executed.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 50,
    clusterRetryStrategy: delayMs,
    // Without it a lost node is dropped and dialled again by every single command, with no pause in between.
    clusterNodeRetryStrategy: (attempt) => (attempt <= MAX_NODE_ATTEMPTS ? delayMs(attempt) : null),
    slotsRefreshInterval: 5000,
    slotsRefreshTimeout: 1000,
    natMap: profile.natMap,
    // The certificate is for the host name: an address would not match it.
    ...(target.isTls && { dnsLookup: (host, done) => done(null, host) }),
  }
}
