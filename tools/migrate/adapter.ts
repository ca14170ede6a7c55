/**
 * PrismaPg, made fit for migrations. Prisma writes it for a client's queries; the schema engine asks for more:
 *
 * - A script must run whole. PrismaPg splits it at every semicolon, those in function bodies and strings too, and sends
 *   the pieces to whichever connection is free. Sent as one query it is a transaction: applied whole or not at all.
 * - The shadow database must be another database. PrismaPg, given a URL, connects to the first one again.
 * - Postgres' catalogue has columns of type "char", which PrismaPg refuses.
 */
import { PrismaPg } from '@prisma/adapter-pg'
import {
  bindMigrationAwareSqlAdapterFactory,
  ColumnTypeEnum,
  DriverAdapterError,
  type SqlDriverAdapter,
  type SqlQuery,
} from '@prisma/driver-adapter-utils'
import { createClient, createPool, unlimited } from '@shop/service-kit/storage/database'
import pg from 'pg'

const CHAR_OID = 18
const TEXT_OID = 25

/**
 * What `SchemaEngine.new` takes as its adapter, and how to end what it opened: the engine never does, and would leave
 * its lock to a forgotten connection. `url` must be of a server when a shadow database will be needed.
 */
export function createMigrationAdapter(url: string) {
  const { provider, adapterName } = new PrismaPg(url)
  const cleanups: (() => Promise<void>)[] = []

  async function connect(databaseUrl: string) {
    // One connection: the engine takes its locks and makes its settings per session.
    const pool = createPool(databaseUrl, { name: 'migrate', poolMax: 1, ...unlimited })
    cleanups.push(() => pool.end())
    return adapterOn(pool)
  }
  async function connectToShadowDb() {
    const name = `shadow_${crypto.randomUUID().replaceAll('-', '')}`
    await execute(url, `CREATE DATABASE ${name}`)
    cleanups.push(() => execute(url, `DROP DATABASE ${name} WITH (FORCE)`))
    return connect(Object.assign(new URL(url), { pathname: `/${name}` }).href)
  }
  async function close() {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
  }
  const adapter = bindMigrationAwareSqlAdapterFactory({
    provider,
    adapterName,
    connect: () => connect(url),
    connectToShadowDb,
  })
  return { adapter, close }
}

async function adapterOn(pool: pg.Pool): Promise<SqlDriverAdapter> {
  const charColumns = markCharColumns(pool)
  const adapter = await new PrismaPg(pool).connect()
  const queryRaw = adapter.queryRaw.bind(adapter)
  return Object.assign(adapter, {
    async queryRaw(query: SqlQuery) {
      const result = await queryRaw(query)
      for (const column of charColumns.get(result.rows) ?? []) result.columnTypes[column] = ColumnTypeEnum.Character
      return result
    },
    async executeScript(script: string) {
      await pool.query(script).catch((error) => {
        throw new DriverAdapterError(describeError(error))
      })
    },
  })
}

/** In the engine's terms, which puts them into its report of what failed. */
function describeError(error: unknown) {
  if (!(error instanceof pg.DatabaseError)) throw error
  const { code = '', severity = '', message, detail, column, hint } = error
  return { kind: 'postgres' as const, code, severity, message, detail, column, hint }
}

/** Passes "char" columns off as text, which PrismaPg knows, and remembers for each result which ones they were. */
function markCharColumns(pool: pg.Pool): WeakMap<unknown[], number[]> {
  const marks = new WeakMap<unknown[], number[]>()
  const query = pool.query.bind(pool) as (config: pg.QueryConfig | string) => Promise<pg.QueryArrayResult>
  async function markingQuery(config: pg.QueryConfig | string) {
    const result = await query(config)
    const columns = (result.fields ?? []).flatMap((field, index) => (field.dataTypeID === CHAR_OID ? [index] : []))
    for (const column of columns) Object.assign(result.fields[column] ?? {}, { dataTypeID: TEXT_OID })
    if (columns.length > 0) marks.set(result.rows, columns)
    return result
  }
  Object.assign(pool, { query: markingQuery })
  return marks
}

async function execute(url: string, statement: string): Promise<void> {
  const client = createClient(url, { name: 'migrate', ...unlimited })
  await client.connect()
  await client.query(statement).finally(() => client.end())
}
