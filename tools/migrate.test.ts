import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { testDatabase } from '@shop/test-kit/postgres'
import { serverUrl } from '@shop/test-kit/test-servers'
import pg from 'pg'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { draftMigration, markRolledBack } from './migrate/engine.ts'
import { findPrismaFolder, listPrismaFolders } from './migrate/files.ts'
import { createMigration, migrate } from './migrate.ts'

const server = await serverUrl('postgres')
let appsFolder: string
let databaseUrl: string
const service = 'shelf'
vi.setConfig({ testTimeout: 60_000 }) // the engine is all computing, perhaps on a busy machine

beforeEach(async () => {
  appsFolder = mkdtempSync(join(tmpdir(), 'shop-apps-'))
  onTestFinished(() => rmSync(appsFolder, { recursive: true }))
  databaseUrl = (await testDatabase()).url
  writeSchema(
    'model Book {\n id Int @id\n title String\n shelf Shelf? @relation(fields: [shelfId], references: [id])\n shelfId Int?\n}',
  )
  writeMigration('20260101000000_init', initSql)
})

const initSql = `
CREATE TABLE "Shelf" ("id" INTEGER NOT NULL, CONSTRAINT "Shelf_pkey" PRIMARY KEY ("id"));
CREATE TABLE "Book" ("id" INTEGER NOT NULL, "title" TEXT NOT NULL, "shelfId" INTEGER, CONSTRAINT "Book_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Book" ADD CONSTRAINT "Book_shelfId_fkey" FOREIGN KEY ("shelfId") REFERENCES "Shelf"("id") ON DELETE SET NULL ON UPDATE CASCADE;
`

function writeSchema(models: string) {
  mkdirSync(join(appsFolder, service, 'prisma/migrations'), { recursive: true })
  writeFileSync(
    join(appsFolder, service, 'prisma/schema.prisma'),
    `datasource db { provider = "postgresql" }\n`.replace('{ ', '{\n ').replace(' }', '\n}') +
      `model Shelf {\n id Int @id\n books Book[]\n}\n${models}\n`,
  )
}

function writeMigration(name: string, sql: string) {
  const folder = join(appsFolder, service, 'prisma/migrations', name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'migration.sql'), sql)
}

async function query(sql: string) {
  const client = new pg.Client(databaseUrl)
  await client.connect()
  const { rows } = await client.query(sql).finally(() => client.end())
  return rows
}

const run = (onProgress?: (line: string) => void) => migrate({ service, databaseUrl, appsFolder, onProgress })

test('it applies what is missing, once', async () => {
  expect(await run()).toEqual(['20260101000000_init'])
  expect(await run()).toEqual([])
  writeMigration('20260102000000_more', 'CREATE TABLE more (id int)')
  expect(await run()).toEqual(['20260102000000_more'])
  expect(await query('SELECT migration_name FROM _prisma_migrations ORDER BY 1')).toHaveLength(2)
  expect(await query('SELECT * FROM more')).toEqual([])
})

test('of several runs at once one works and the others wait for it', async () => {
  writeMigration('20260102000000_slow', 'SELECT pg_sleep(0.5); CREATE TABLE slow (id int)')
  const lines: string[] = []
  const runs = await Promise.all(Array.from({ length: 4 }, () => run((line) => lines.push(line))))
  expect(runs.flat().sort()).toEqual(['20260101000000_init', '20260102000000_slow'])
  expect(lines.filter((line) => line.includes('waiting'))).toHaveLength(3)
})

test('a function body keeps its semicolons', async () => {
  writeMigration(
    '20260102000000_function',
    `CREATE FUNCTION answer() RETURNS text AS $$ BEGIN PERFORM 1; RETURN 'a;b'; END $$ LANGUAGE plpgsql;`,
  )
  await run()
  expect(await query('SELECT answer()')).toEqual([{ answer: 'a;b' }])
})

test('a migration that fails leaves nothing behind, blocks later ones, and can be tried again', async () => {
  const bad = '20260102000000_bad'
  writeMigration(bad, 'CREATE TABLE half (id int); SELECT 1 / 0;')
  await expect(run()).rejects.toThrow(`shelf: migration ${bad}: ERROR: division by zero`)
  expect(await query(`SELECT to_regclass('half') AS half`)).toEqual([{ half: null }])
  await expect(run()).rejects.toThrow(bad)
  writeMigration(bad, 'CREATE TABLE half (id int); SELECT 1 / 1;')
  await markRolledBack(findPrismaFolder(service, appsFolder), databaseUrl, bad)
  expect(await run()).toEqual([bad])
})

test('it warns about a migration that was changed after it had been applied', async () => {
  await run()
  writeMigration('20260101000000_init', `${initSql}-- and more`)
  const lines: string[] = []
  await run((line) => lines.push(line))
  expect(lines).toEqual([expect.stringContaining('20260101000000_init was changed')])
})

test('a new migration is the difference between the migrations and the schema', async () => {
  expect(await createMigration({ service, name: 'nothing', appsFolder })).toBeUndefined()
  writeSchema(
    'model Book {\n id Int @id\n title String @unique\n shelf Shelf? @relation(fields: [shelfId], references: [id])\n shelfId Int?\n}',
  )
  const folder = await createMigration({ service, name: 'Unique title', appsFolder, serverUrl: server })
  expect(folder).toMatch(/\d{14}_unique_title$/)
  expect(readFileSync(`${folder}/migration.sql`, 'utf8')).toContain('CREATE UNIQUE INDEX "Book_title_key"')
  expect(readdirSync(join(appsFolder, service, 'prisma/migrations'))).toContain('migration_lock.toml')
  expect(await run()).toHaveLength(2)
  expect(await createMigration({ service, name: 'nothing', appsFolder, serverUrl: server })).toBeUndefined()
})

test('an unknown service is answered with those there are', async () => {
  await expect(migrate({ service: 'shelv', databaseUrl, appsFolder })).rejects.toThrow('use one of shelf')
})

test.each(listPrismaFolders())('the migrations of $service lead to its schema.prisma', async (folder) => {
  expect(await draftMigration(folder, server)).toBeUndefined()
})

test('the comparison notices a schema that has moved on', async () => {
  const [folder] = listPrismaFolders()
  if (!folder) return
  cpSync(folder.folder, join(appsFolder, 'copy/prisma'), {
    recursive: true,
    filter: (path) => !path.endsWith('client'),
  })
  const copy = findPrismaFolder('copy', appsFolder)
  writeFileSync(copy.schemaFile, `${readFileSync(copy.schemaFile, 'utf8')}\nmodel Planted {\n id Int @id\n}\n`)
  expect(await draftMigration(copy, server)).toContain('CREATE TABLE "Planted"')
})

test('the command names every variable that is missing, and does nothing', async () => {
  const { PATH } = process.env
  const command = promisify(execFile)(process.execPath, [join(import.meta.dirname, 'migrate.ts')], { env: { PATH } })
  await expect(command).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^CATALOG_DATABASE_URL, .*USER_DATABASE_URL missing/),
  })
})
