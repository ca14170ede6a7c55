import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { isAlive } from '../fixtures/alive.ts'
import { type PostgresOptions, startPostgres } from './postgres-server.ts'

vi.setConfig({ testTimeout: 60_000 }) // several starts of a server in a row, perhaps on a busy machine

async function start(options?: PostgresOptions) {
  const server = await startPostgres(options)
  onTestFinished(() => server.stop())
  return server
}

async function query(url: string, sql: string) {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query(sql).finally(() => client.end())
  return rows
}

function temporaryFolder(mode = 0o755) {
  const dir = mkdtempSync(join(tmpdir(), 'shop-test-'))
  chmodSync(dir, mode)
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

test('the variables of another Postgres change neither the server nor its clients', async () => {
  const foreign = {
    ...{ PGSSLMODE: 'verify-full', PGSSLNEGOTIATION: 'direct', PGOPTIONS: '-c nonsense=1', PGPORT: '1' },
    ...{ PGDATESTYLE: 'nonsense', PGCLIENTENCODING: 'nonsense' },
  }
  for (const [name, value] of Object.entries(foreign)) vi.stubEnv(name, value)
  onTestFinished(() => void vi.unstubAllEnvs())
  const server = await startPostgres()
  await server.createDatabase('foreign').finally(() => server.stop())
})

test('a stopped server leaves neither process nor folder behind', async () => {
  const server = await startPostgres()
  const [row] = await query(server.url, `SELECT current_setting('data_directory') AS folder`)
  expect([isAlive(server.pid), existsSync(row.folder)]).toEqual([true, true])
  await server.stop()
  await server.stop()
  expect([isAlive(server.pid), existsSync(dirname(row.folder))]).toEqual([false, false])
})

test('a server whose parent is killed goes with it, its folder too', async () => {
  const parent = spawn(process.execPath, [join(import.meta.dirname, '../fixtures/orphan.ts'), 'postgres'])
  const [output] = await once(parent.stdout, 'data')
  const [pid, folder] = String(output).trim().split(' ')
  const isThere = () => [isAlive(Number(pid)), existsSync(folder ?? '')]
  expect(isThere()).toEqual([true, true])
  parent.kill('SIGKILL')
  await expect.poll(isThere, { timeout: 20_000 }).toEqual([false, false])
})

test('servers started at once do not collide, and only its own password opens one', async () => {
  const [one, two] = await Promise.all([start(), start()])
  expect(one.port).not.toBe(two.port)
  const { password } = new URL(two.url)
  await expect(query(Object.assign(new URL(one.url), { password }).href, 'SELECT 1')).rejects.toThrow(
    /password authentication failed/,
  )
})

test('a database belongs to its owner, and other roles stay out', async () => {
  const server = await start()
  const catalog = await server.createDatabase('catalog', { name: 'catalog', password: 'first' })
  const order = await server.createDatabase('order', 'order')
  await query(catalog, 'CREATE TABLE products (sku text)')
  expect(await query(order, 'SELECT current_user AS me')).toEqual([{ me: 'order' }])
  await expect(query(order.replace(/order$/, 'catalog'), 'SELECT 1')).rejects.toThrow(/permission denied/)
  const again = await server.createDatabase('catalog', { name: 'catalog', password: 'second' })
  expect(await query(again, 'SELECT * FROM products')).toEqual([])
  await expect(query(catalog, 'SELECT 1')).rejects.toThrow(/password authentication failed/)
})

test('a folder keeps data and password, durably, through stop, SIGKILL and another port', async () => {
  const dir = join(temporaryFolder(), 'postgres')
  const first = await startPostgres({ dir })
  expect(await query(first.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }])
  await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS one')
  await expect(startPostgres({ dir })).rejects.toThrow(`process ${first.pid}, port ${first.port}`)
  await first.kill('SIGKILL')
  await first.restart()
  expect(await query(first.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }])
  await first.stop()
  const second = await start({ dir })
  expect(new URL(second.url).password).toBe(new URL(first.url).password)
  expect(await query(second.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }])
})

test('a password that is given is used and kept', async () => {
  const dir = join(temporaryFolder(), 'postgres')
  await (await startPostgres({ dir, durable: false, password: `o'dd "pass"` })).stop()
  const server = await startPostgres({ dir, durable: false })
  expect(decodeURIComponent(new URL(server.url).password)).toBe(`o'dd "pass"`)
  await server.stop()
  writeFileSync(join(dir, 'password'), 'earlier') // as if killed after the change and before it was noted
  await start({ dir, durable: false, password: `o'dd "pass"` })
})

test('the number of an old process in postmaster.pid does not keep it from starting', async () => {
  const dir = join(temporaryFolder(), 'postgres')
  const server = await startPostgres({ dir, durable: false })
  const [row] = await query(server.url, `SELECT current_setting('data_directory') AS folder`)
  const file = join(row.folder, 'postmaster.pid')
  const lines = readFileSync(file, 'utf8').split('\n')
  await server.stop()
  writeFileSync(file, [process.pid, ...lines.slice(1)].join('\n')) // alive, and no Postgres
  await start({ dir, durable: false })
})

test.runIf(process.getuid?.() === 0)('a folder that the server cannot enter has its data elsewhere', async () => {
  const closed = temporaryFolder(0o700) // like /root
  const dir = join(closed, 'data/postgres')
  const first = await startPostgres({ dir, durable: false })
  await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS one')
  await first.stop()
  const elsewhere = readFileSync(join(dir, 'moved-to'), 'utf8').trim()
  const second = await startPostgres({ dir, durable: false })
  expect(await query(second.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }])
  await second.stop()

  rmSync(closed, { recursive: true })
  expect(existsSync(elsewhere)).toBe(true)
  const other = join(temporaryFolder(0o700), 'postgres')
  await start({ dir: other, durable: false, persistent: false }) // removes what belongs to a folder that is gone
  expect(existsSync(elsewhere)).toBe(false)
})

test('a server that cannot start says why', async () => {
  await expect(startPostgres({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(/invalid value for parameter/)
})
