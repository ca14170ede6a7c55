/**
 * Prisma's schema engine as WebAssembly: what does the work behind `prisma migrate`, without the native program that
 * Prisma would download. docs/decisions/0003 says why.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { MigrationList, SchemaEngine, SchemasContainer } from '@prisma/schema-engine-wasm'
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg'
import { createMigrationAdapter } from './adapter.ts'
import { type PrismaFolder, readMigrations } from './files.ts'

export const LOCK_FILE = { name: 'migration_lock.toml', content: 'provider = "postgresql"\n' }
const noFilter = { externalTables: [], externalEnums: [] }

/** Applies what the database does not have yet, and resolves to the names. */
export async function applyMigrations(folder: PrismaFolder, databaseUrl: string): Promise<string[]> {
  return withEngine(folder, databaseUrl, async (engine) => {
    const input = { migrationsList: migrationList(folder), filters: noFilter }
    return (await engine.applyMigrations(input)).appliedMigrationNames
  })
}

/** Declares that a migration that failed has left nothing behind, so that it is applied again. */
export async function markRolledBack(folder: PrismaFolder, databaseUrl: string, migrationName: string): Promise<void> {
  await withEngine(folder, databaseUrl, (engine) => engine.markMigrationRolledBack({ migrationName }))
}

/**
 * The SQL that would bring the result of the folder's migrations to schema.prisma; undefined when they agree.
 * `serverUrl` is a server on which databases may be made and dropped.
 */
export async function draftMigration(folder: PrismaFolder, serverUrl: string): Promise<string | undefined> {
  return withEngine(folder, serverUrl, async (engine) => {
    const { exitCode, stdout } = await engine.diff({
      from: { tag: 'migrations', ...migrationList(folder) },
      to: { tag: 'schemaDatamodel', ...schemaOf(folder) },
      script: true,
      exitCode: true,
      filters: noFilter,
    })
    return exitCode === 0 ? undefined : (stdout ?? undefined)
  })
}

async function withEngine<T>(
  folder: PrismaFolder,
  url: string,
  work: (engine: SchemaEngine) => Promise<T>,
): Promise<T> {
  const Engine = loadEngine()
  const { adapter, close } = createMigrationAdapter(url)
  const datamodels = schemaOf(folder).files.map(({ path, content }): [string, string] => [path, content])
  try {
    const engine = await Engine.new({ datamodels }, () => {}, adapter)
    const result = await work(engine)
    engine.free() // not after an error: it may have panicked
    return result
  } catch (error) {
    throw new Error(`${folder.service}: ${readableMessage((error as Error).message)}`, { cause: error })
  } finally {
    await close()
  }
}

/** The engine's message ends with a trace of its own functions, where the one thing of use is the migration's name. */
function readableMessage(message: string): string {
  const name = /migration_name="([^"]+)"/.exec(message)?.[1]
  const text = message
    .replace(/\n +0: .*/s, '')
    .replace(/^external connector error\n(Error querying the database: )?/, '')
    .trim()
  return name ? `migration ${name}: ${text}` : text
}

/** The part of the standard that is used here: its types come with the browser's, which have no place in a tool. */
interface WebAssemblyStandard {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { exports: { __wbindgen_start(): void } }
}

let isLoaded = false

/**
 * By hand and not by importing the .wasm file, which is experimental in Node and says so on every run. Once per
 * process: the bindings keep views of one instance's memory.
 */
function loadEngine(): typeof SchemaEngine {
  if (isLoaded) return bindings.SchemaEngine
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyStandard }
  const folder = dirname(createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg'))
  const module = new WebAssembly.Module(readFileSync(join(folder, 'schema_engine_bg.wasm')))
  const { exports } = new WebAssembly.Instance(module, { './schema_engine_bg.js': bindings })
  bindings.__wbg_set_wasm(exports)
  exports.__wbindgen_start()
  isLoaded = true
  return bindings.SchemaEngine
}

function schemaOf({ schemaFile }: PrismaFolder): SchemasContainer {
  return { files: [{ path: schemaFile, content: readFileSync(schemaFile, 'utf8') }] }
}

function migrationList(folder: PrismaFolder): MigrationList {
  return {
    baseDir: folder.migrationsFolder,
    lockfile: { path: LOCK_FILE.name, content: LOCK_FILE.content },
    shadowDbInitScript: '',
    migrationDirectories: readMigrations(folder).map(({ name, sql }) => ({
      path: name,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: sql } },
    })),
  }
}
