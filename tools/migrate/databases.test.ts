import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { startPostgres } from '@shop/test-kit/postgres-server'
import pg from 'pg'
import { afterAll, expect, test } from 'vitest'
import { root } from '../command-line/run.ts'
import { ensureDatabases } from './databases.ts'

const server = await startPostgres()
afterAll(() => server.stop())

/** As the volume of secrets has it. */
function urlOf(name: string, password = randomBytes(9).toString('hex')): string {
  return Object.assign(new URL(server.url), { pathname: name, username: name, password }).href
}

async function query(url: string, sql: string) {
  const client = new pg.Client(url)
  await client.connect()
  return client.query(sql).finally(() => client.end())
}

test('a service that is new gets its database and its role, and those that are there keep their data', async () => {
  const [first, second] = [urlOf('first'), urlOf('second')]
  await ensureDatabases(server.url, [first])
  await query(first, 'CREATE TABLE kept (id int)')
  await ensureDatabases(server.url, [first, second])
  expect((await query(first, 'SELECT * FROM kept')).rowCount).toBe(0)
  expect((await query(second, 'SELECT current_user')).rows).toEqual([{ current_user: 'second' }])
  await expect(query(Object.assign(new URL(second), { pathname: 'first' }).href, 'SELECT 1')).rejects.toThrow(
    'permission denied',
  )
})

test('a password that is new takes the place of the old one', async () => {
  const [old, renewed] = [urlOf('renewed'), urlOf('renewed')]
  await ensureDatabases(server.url, [old])
  await ensureDatabases(server.url, [renewed])
  expect((await query(renewed, 'SELECT 1')).rowCount).toBe(1)
  await expect(query(old, 'SELECT 1')).rejects.toThrow('password authentication failed')
})

test('databases that are older than the secrets: the command says what happened and both ways on', async () => {
  const env = {
    PATH: process.env.PATH,
    CATALOG_DATABASE_URL: urlOf('catalog'),
    POSTGRES_ADMIN_URL: Object.assign(new URL(server.url), { password: 'of-another-volume' }).href,
  }
  const { code, err } = await new Promise<{ code: unknown; err: string }>((resolve) => {
    execFile(process.execPath, ['tools/migrate.ts', '--service', 'catalog'], { cwd: root, env }, (error, _out, err) =>
      resolve({ code: error?.code, err }),
    )
  })
  expect(code).toBe(1)
  expect(err).toContain('older than the volume `secrets`')
  expect(err).toContain('docker compose exec postgres psql -f /run/shop/password.sql && docker compose up -d')
  expect(err).toContain('docker compose down -v')
  expect(err).not.toContain('of-another-volume')
})

test('a URL that lacks a part is an error, and makes no role of that name', async () => {
  const incomplete = Object.assign(new URL(server.url), { pathname: 'third', username: 'third', password: '' }).href
  await expect(ensureDatabases(server.url, [incomplete])).rejects.toThrow('must name a database, a user and a password')
})
