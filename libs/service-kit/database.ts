/**
 * Postgres, with limits on everything: connections, the wait for one, each statement, each lock. Prisma for most of the work;
 * a plain pool for what Prisma cannot say (LISTEN, FOR UPDATE SKIP LOCKED).
 */
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'

export interface DatabaseOptions {
  /** Seen in pg_stat_activity. */
  name: string
  /** @default 10 */
  poolMax?: number
  /** Longest wait for a connection, new or from the pool. @default 2_000 */
  connectTimeoutMs?: number
  /** Longest that one statement may run, enforced by the server. @default 5_000 */
  statementTimeoutMs?: number
  /** Longest wait for a row lock, enforced by the server. @default 3_000 */
  lockTimeoutMs?: number
  /** A transaction that its owner forgot is ended by the server after this. @default 10_000 */
  idleInTransactionTimeoutMs?: number
  /** Hears of idle connections that broke; without a listener such an error would end the process. */
  onError?: (error: Error) => void
}

/** For `new PrismaClient({ adapter })`. Connects on first use and again after an outage. */
export function createPrismaAdapter(url: string, options: DatabaseOptions): PrismaPg {
  const onError = options.onError ?? (() => {})
  return new PrismaPg(poolConfig(url, options), { onPoolError: onError, onConnectionError: onError })
}

/** A pool of plain connections. Close it with `pool.end()`. */
export function createPool(url: string, options: DatabaseOptions): pg.Pool {
  const pool = new pg.Pool(poolConfig(url, options))
  pool.on('error', options.onError ?? (() => {}))
  return pool
}

function poolConfig(
  url: string,
  {
    name,
    poolMax = 10,
    connectTimeoutMs = 2_000,
    statementTimeoutMs = 5_000,
    lockTimeoutMs = 3_000,
    idleInTransactionTimeoutMs = 10_000,
  }: DatabaseOptions,
): pg.PoolConfig {
  return {
    connectionString: url,
    application_name: name,
    max: poolMax,
    connectionTimeoutMillis: connectTimeoutMs,
    idleTimeoutMillis: 30_000,
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    keepAlive: true,
  }
}
