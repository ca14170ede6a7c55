import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { serverUrl } from '../test-servers.ts'
import { testDatabase } from './postgres.ts'
import { createTemplate, databaseUrl, run } from './postgres-template.ts'

const ofFile = await testDatabase()

async function query(url: string, sql: string) {
  const client = new pg.Client(url)
  await client.connect()
  const { rows } = await client.query(sql).finally(() => client.end())
  return rows
}

async function databases() {
  return (await query(await serverUrl('postgres'), 'SELECT datname FROM pg_database')).map(({ datname }) => datname)
}

describe('a database of a test', () => {
  let name: string
  test('is there during the test', async () => {
    const database = await testDatabase()
    name = database.name
    expect(await databases()).toContain(name)
    await new pg.Pool({ connectionString: database.url }).on('error', () => {}).query('SELECT 1') // left open
  })
  test('is gone after it, open connections or not', async () => {
    expect(await databases()).not.toContain(name)
  })
})

describe('a database of a file', () => {
  beforeAll(() => run(ofFile.url, ['CREATE TABLE kept (id int)']))
  test('stays for all of its tests', async () => {
    expect(await query(ofFile.url, 'SELECT * FROM kept')).toEqual([])
  })
  afterAll(async () => expect(await databases()).toContain(ofFile.name))
})

describe('a template', () => {
  const appsFolder = mkdtempSync(join(tmpdir(), 'shop-apps-'))
  afterAll(() => rmSync(appsFolder, { recursive: true }))
  const writeMigration = (service: string, name: string, sql: string) => {
    mkdirSync(join(appsFolder, service, 'prisma/migrations', name), { recursive: true })
    writeFileSync(join(appsFolder, service, 'prisma/migrations', name, 'migration.sql'), sql)
  }

  test('has the migrations applied in order, and is copied whole', async () => {
    writeMigration('shelf', '2_more', 'ALTER TABLE books ADD title text')
    writeMigration('shelf', '1_init', 'CREATE TABLE books (id int)')
    const server = await serverUrl('postgres')
    const template = await createTemplate(server, 'shelf', appsFolder)
    onTestFinished(template.drop)
    const copies = [`${template.name}_a`, `${template.name}_b`]
    await Promise.all(copies.map((copy) => run(server, [`CREATE DATABASE ${copy} TEMPLATE ${template.name}`])))
    for (const copy of copies) {
      expect(await query(databaseUrl(server, copy), 'SELECT id, title FROM books')).toEqual([])
      await run(server, [`DROP DATABASE ${copy}`])
    }
  })
  test('of migrations that fail is not left behind', async () => {
    writeMigration('broken', '1_init', 'CREATE TABLE')
    const before = await databases()
    await expect(createTemplate(await serverUrl('postgres'), 'broken', appsFolder)).rejects.toThrow(
      'the migrations of broken fail: syntax error',
    )
    expect(await databases()).toEqual(before)
  })
  test('of a service without migrations is refused by name', async () => {
    await expect(testDatabase('nobody')).rejects.toThrow('nobody has no migrations')
  })
})
