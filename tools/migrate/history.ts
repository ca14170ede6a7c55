/** What a database says about the migrations it has seen, and how two runs at once keep out of each other's way. */
import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { Migration } from './files.ts'

/** Any number will do, as long as nobody else in these databases takes it. The engine's own lock gives up after 10 s. */
const LOCK_KEY = 7_379_823_001
const UNDEFINED_TABLE = '42P01'

interface HistoryRow {
  name: string
  checksum: string
  isFinished: boolean
}

/**
 * Has every migration been applied? Says so when one was changed afterwards: what it does now has not been done.
 * False as well when one has failed: the engine then says what to do.
 */
export async function isUpToDate(
  client: pg.Client,
  migrations: Migration[],
  warn: (line: string) => void = () => {},
): Promise<boolean> {
  const rows = await readHistory(client)
  const finished = new Map(rows.filter((row) => row.isFinished).map((row) => [row.name, row.checksum]))
  for (const { name, sql } of migrations) {
    const checksum = finished.get(name)
    if (checksum !== undefined && checksum !== checksumOf(sql)) {
      warn(`warning: ${name} was changed after it was applied; this database has the earlier version`)
    }
  }
  return rows.every((row) => row.isFinished) && migrations.every(({ name }) => finished.has(name))
}

/** One at a time per database. The lock belongs to the client's session, so it ends with it, however that ends. */
export async function withMigrationLock<T>(
  client: pg.Client,
  onProgress: (line: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS locked', [LOCK_KEY])
  if (!rows[0].locked) {
    onProgress('waiting for another run that applies migrations')
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY])
  }
  try {
    return await work()
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [LOCK_KEY])
  }
}

async function readHistory(client: pg.Client): Promise<HistoryRow[]> {
  try {
    const { rows } = await client.query<HistoryRow>(
      `SELECT migration_name AS name, checksum, finished_at IS NOT NULL AS "isFinished"
       FROM _prisma_migrations WHERE rolled_back_at IS NULL`,
    )
    return rows
  } catch (error) {
    if ((error as { code?: string }).code === UNDEFINED_TABLE) return []
    throw error
  }
}

/** As Prisma computes it. */
function checksumOf(sql: string): string {
  return createHash('sha256').update(sql).digest('hex')
}
