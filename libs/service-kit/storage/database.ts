/**
 * Postgres, with limits on everything: connections, the wait for one, each statement, each lock. Prisma for most of the work;
 * a plain pool for what Prisma cannot say (LISTEN, FOR UPDATE SKIP LOCKED); a single connection for tools.
 */
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { PostgresNotConnected } from './postgres-errors.ts'

/**
 * What the code relies on, set for each session: servers, databases and roles have defaults of their own. The same in the URL's `options`
 * wins. Read-only defaults are left alone: they are how an administrator closes a database, and the answer to a write is then 503.
 */
const sessionSettings = {
  // Prisma writes times without their zone, and drops the zone of those that it reads.
  TimeZone: 'UTC',
  DateStyle: 'ISO,MDY',
  IntervalStyle: 'postgres',
  // Digits enough for a float to come back as it was.
  extra_float_digits: '1',
  bytea_output: 'hex',
  standard_conforming_strings: 'on',
  // The relay and the stock look again in a later statement of their transaction, and expect to see what was committed meanwhile.
  default_transaction_isolation: String.raw`read\ committed`,
  // Prisma names the schema, migrations and plain SQL do not.
  search_path: 'public',
}

export interface ClientOptions {
  /** Seen in pg_stat_activity. */
  name: string
  /** Longest wait for a connection, new or from the pool. @default 2_000 */
  connectTimeoutMs?: number
  /** Longest that one statement may run, enforced by the server; 0: the server's own limit. @default 5_000 */
  statementTimeoutMs?: number
  /** Longest wait for a row lock, enforced by the server; 0: the server's own limit. @default 3_000 */
  lockTimeoutMs?: number
  /** The server ends a transaction that is idle for this long; 0: the server's own limit. @default 10_000 */
  idleInTransactionTimeoutMs?: number
}

export interface DatabaseOptions extends ClientOptions {
  /** @default 10 */
  poolMax?: number
  /** Called with the error of an idle connection that broke. @default ignores it: the next query has another connection */
  onError?: (error: Error) => void
}

/**
 * A connection whose loss ends no process. A pool listens to its idle clients only; between two callers, and in the hands of a caller
 * who awaits something else, a client has no listener, and Node ends a process for an `error` event without one. Nothing is
 * lost here: the query in flight and every later one reject.
 */
class ListeningClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config)
    this.on('error', () => {})
  }
}

/** A connection of a pool. A failure to connect says so, whatever its Postgres code. The pool uses the callback, never the promise. */
class PooledClient extends ListeningClient {
  override connect(): Promise<this>
  override connect(callback: (error: Error | null) => void): void
  override connect(callback?: (error: Error | null) => void): Promise<this> | undefined {
    if (callback === undefined) return super.connect() as Promise<this>
    super.connect((error: Error | null) => callback(error && new PostgresNotConnected(error)))
    return undefined
  }
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

/** For work that may take as long as it needs: migrations, a seed. */
export const unlimited = { statementTimeoutMs: 0, lockTimeoutMs: 0, idleInTransactionTimeoutMs: 0 } as const

/** One connection, not yet connected. Close it with `client.end()`. */
export function createClient(url: string, options: ClientOptions): pg.Client {
  return new ListeningClient(clientConfig(url, options))
}

function poolConfig(url: string, options: DatabaseOptions): pg.PoolConfig {
  const { poolMax: max = 10 } = options
  return { ...clientConfig(url, options), Client: PooledClient, max, idleTimeoutMillis: 30_000 }
}

function clientConfig(
  url: string,
  {
    name,
    connectTimeoutMs = 2_000,
    statementTimeoutMs = 5_000,
    lockTimeoutMs = 3_000,
    idleInTransactionTimeoutMs = 10_000,
  }: ClientOptions,
): pg.ClientConfig {
  return {
    // The URL says everything: PGSSLMODE, PGPORT and the like of a caller's shell belong to another server.
    ssl: false,
    sslnegotiation: 'postgres',
    client_encoding: 'UTF8',
    connectionString: withSessionSettings(url),
    application_name: name,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    keepAlive: true,
  }
}

function withSessionSettings(url: string): string {
  const target = new URL(url)
  if (target.hostname !== '' && target.port === '') target.port = '5432'
  const settings = Object.entries(sessionSettings).map(([name, value]) => `-c ${name}=${value}`)
  const given = target.searchParams.get('options') ?? ''
  target.searchParams.set('options', [...settings, given].join(' ').trim())
  return target.href
}
