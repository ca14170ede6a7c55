/**
 * `npm run migrate`: brings the services' databases to where their migrations lead. The migrations are Prisma's own
 * (apps/<service>/prisma/migrations, recorded in `_prisma_migrations`), so `prisma migrate dev` works on them as well.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { startPostgres } from '@shop/test-kit/postgres-server'
import { parseArguments } from './command-line/arguments.ts'
import { connectPostgres } from './command-line/postgres-client.ts'
import { ensureDatabases } from './migrate/databases.ts'
import { applyMigrations, draftMigration, LOCK_FILE, markRolledBack } from './migrate/engine.ts'
import { findPrismaFolder, listPrismaFolders, type PrismaFolder, readMigrations } from './migrate/files.ts'
import { isUpToDate, withMigrationLock } from './migrate/history.ts'

const help = `Usage: npm run migrate -- [options]

Applies pending migrations. Without options: for every service, on the database
that its variable names
(${listPrismaFolders().map(variableOf).join(', ')}).

  --service <name>        only this service
  --url <url>             its database, instead of the variable
  --create <name>         write a new migration: changes of schema.prisma that
                          the migrations lack
  --empty                 with --create: an empty migration, for SQL that
                          schema.prisma cannot express
  --rolled-back <folder>  apply this migration again, which failed without
                          leaving changes
  --help                  this text

POSTGRES_ADMIN_URL names a role that may create databases and roles. With it,
missing ones are created first.
`

export interface MigrateOptions {
  service: string
  databaseUrl: string
  /** What named the URL, for errors. @default the variable of the service */
  source?: string
  /** One line about what is done. */
  onProgress?: (line: string) => void
  /** @default apps/ of this repository */
  appsFolder?: string
}

/**
 * Applies what the database does not have yet, and resolves to the names. Costs two queries when that is nothing.
 * Several may run at once: one works, the others wait for it. Throws with the service's name and what went wrong.
 */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const { service, databaseUrl, source, onProgress = () => {}, appsFolder } = options
  const folder = findPrismaFolder(service, appsFolder)
  const migrations = readMigrations(folder)
  const client = await connectPostgres(databaseUrl, {
    source: source ?? variableOf(folder),
    applicationName: 'migrate',
  })
  try {
    if (await isUpToDate(client, migrations, onProgress)) return []
    return await withMigrationLock(client, onProgress, async () => {
      if (await isUpToDate(client, migrations)) return [] // somebody else did it while we waited
      const applied = await applyMigrations(folder, databaseUrl)
      for (const name of applied) onProgress(`${service}: applied ${name}`)
      return applied
    })
  } finally {
    await client.end()
  }
}

export interface CreateMigrationOptions {
  service: string
  name: string
  /** Also when schema.prisma says nothing new. @default false */
  empty?: boolean
  /** A server on which databases may be made and dropped. @default one that is started and thrown away */
  serverUrl?: string
  appsFolder?: string
}

/**
 * Writes a migration folder and resolves to its path; undefined when the migrations already lead to schema.prisma.
 * To find out where they lead, they are applied to a database that is dropped again.
 */
export async function createMigration(options: CreateMigrationOptions): Promise<string | undefined> {
  const folder = findPrismaFolder(options.service, options.appsFolder)
  const sql = options.empty ? '' : await pendingSql(folder, options.serverUrl)
  if (sql === undefined) return undefined
  const timestamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14)
  const name = options.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')
  const target = join(folder.migrationsFolder, `${timestamp}_${name}`)
  mkdirSync(target, { recursive: true })
  writeFileSync(join(target, 'migration.sql'), sql)
  writeFileSync(join(folder.migrationsFolder, LOCK_FILE.name), LOCK_FILE.content)
  return target
}

async function pendingSql(folder: PrismaFolder, serverUrl?: string): Promise<string | undefined> {
  if (serverUrl) return draftMigration(folder, serverUrl)
  const server = await startPostgres()
  try {
    return await draftMigration(folder, server.url)
  } finally {
    await server.stop()
  }
}

function variableOf({ service }: { service: string }): string {
  return `${service.toUpperCase().replaceAll('-', '_')}_DATABASE_URL`
}

async function main(): Promise<number> {
  const { values } = parseArguments({
    options: {
      service: { type: 'string' },
      url: { type: 'string' },
      create: { type: 'string' },
      empty: { type: 'boolean' },
      'rolled-back': { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  const { service, url, create, empty } = values
  const rolledBack = values['rolled-back']
  if (values.help) process.stdout.write(help)
  else if (create !== undefined) await createOne({ service: required(service, '--create'), name: create, empty })
  else if (service === undefined && (url !== undefined || rolledBack !== undefined)) required(service, '--url')
  else {
    const targets = findTargets(service ? [findPrismaFolder(service)] : listPrismaFolders(), url)
    const { POSTGRES_ADMIN_URL: adminUrl } = process.env
    const databaseUrls = targets.map(({ databaseUrl }) => databaseUrl)
    if (adminUrl) await ensureDatabases(adminUrl, databaseUrls)
    for (const { folder, databaseUrl } of targets) {
      if (rolledBack) await markRolledBack(folder, databaseUrl, rolledBack)
      await applyAll(folder, databaseUrl, url && '--url')
    }
  }
  return 0
}

async function createOne(options: CreateMigrationOptions): Promise<void> {
  const path = await createMigration(options)
  console.log(
    path
      ? `${relative(process.cwd(), path)}/migration.sql written: read it before you apply it`
      : `${options.service}: schema.prisma has no changes to migrate`,
  )
}

async function applyAll(folder: PrismaFolder, databaseUrl: string, source?: string): Promise<void> {
  const { service } = folder
  const applied = await migrate({ service, databaseUrl, source, onProgress: console.log })
  if (applied.length === 0) console.log(`${service}: up to date`)
}

/** Names every variable that is missing, and not just the first. */
function findTargets(folders: PrismaFolder[], url?: string): { folder: PrismaFolder; databaseUrl: string }[] {
  const missing = url ? [] : folders.map(variableOf).filter((name) => !process.env[name])
  if (missing.length > 0)
    throw new Error(`${missing.join(', ')} missing: set each to the URL of the service's database.`)
  return folders.map((folder) => ({ folder, databaseUrl: url ?? (process.env[variableOf(folder)] as string) }))
}

function required(value: string | undefined, option: string): string {
  if (value === undefined) throw new Error(`${option} needs --service <name>.`)
  return value
}

if (import.meta.main) {
  process.exitCode = await main().catch((error: Error) => {
    console.error(error.message)
    return 1
  })
}
