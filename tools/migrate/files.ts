/** Which services have a database, and what their Prisma folder holds. Found by folder: tools import no app. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const APPS_FOLDER = resolve(import.meta.dirname, '../../apps')

/** One service's Prisma folder. */
export interface PrismaFolder {
  service: string
  /** apps/<service>/prisma */
  folder: string
  schemaFile: string
  migrationsFolder: string
}

/** One migration, named like its folder: `20261123165100_init`. */
export interface Migration {
  name: string
  sql: string
}

/** The folders of all services that have a schema.prisma, by name. */
export function listPrismaFolders(appsFolder = APPS_FOLDER): PrismaFolder[] {
  return readdirSync(appsFolder)
    .sort()
    .map((service) => describe(appsFolder, service))
    .filter(({ schemaFile }) => existsSync(schemaFile))
}

/** Throws, naming the services that there are, when this one has no schema.prisma. */
export function findPrismaFolder(service: string, appsFolder = APPS_FOLDER): PrismaFolder {
  const found = describe(appsFolder, service)
  if (existsSync(found.schemaFile)) return found
  const names = listPrismaFolders(appsFolder).map((other) => other.service)
  throw new Error(`unknown service "${service}": use one of ${names.join(', ')}.`)
}

/** The migrations of a service in the order in which they are applied: their names begin with a timestamp. */
export function readMigrations({ migrationsFolder }: PrismaFolder): Migration[] {
  if (!existsSync(migrationsFolder)) return []
  return readdirSync(migrationsFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ name, sql: readFileSync(join(migrationsFolder, name, 'migration.sql'), 'utf8') }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function describe(appsFolder: string, service: string): PrismaFolder {
  const folder = join(appsFolder, service, 'prisma')
  return {
    service,
    folder,
    schemaFile: join(folder, 'schema.prisma'),
    migrationsFolder: join(folder, 'migrations'),
  }
}
