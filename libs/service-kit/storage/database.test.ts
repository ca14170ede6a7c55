import { startFaultProxy } from '@shop/test-kit/fault-proxy'
import { testDatabase } from '@shop/test-kit/postgres'
import { afterAll, afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { problemOf } from '../http/problem.ts'
import { createPool, createPrismaAdapter, type DatabaseOptions } from './database.ts'
import { isDependencyOutage } from './outage.ts'

const { url } = await testDatabase()
/** As a server may be set up elsewhere. */
const unusual = await testDatabase(undefined, {
  timezone: 'America/New_York',
  datestyle: 'German, DMY',
  intervalstyle: 'sql_standard',
  extra_float_digits: '-5',
  bytea_output: 'escape',
  standard_conforming_strings: 'off',
  default_transaction_isolation: 'serializable',
  search_path: 'elsewhere',
})
const expected = {
  timezone: 'UTC',
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  standard_conforming_strings: 'on',
  default_transaction_isolation: 'read committed',
  search_path: 'public',
}
const admin = createPool(url, { name: 'admin' })
const onError = vi.fn()

afterEach(() => onError.mockClear())
afterAll(() => admin.end())

async function pool(options: Partial<DatabaseOptions> = {}, target = url) {
  const made = createPool(target, { name: 'database-test', poolMax: 2, onError, ...options })
  onTestFinished(() => made.end())
  return made
}

/** What Prisma would speak through, without a schema of any service. */
async function adapter(options: Partial<DatabaseOptions> = {}, target = url) {
  const made = await createPrismaAdapter(target, { name: 'database-test', poolMax: 2, onError, ...options }).connect()
  onTestFinished(() => made.dispose())
  return (sql: string) => made.queryRaw({ sql, args: [], argTypes: [] })
}

/** Of the first row: the pool has objects, Prisma arrays. */
const valuesOf = ({ rows }: { rows: unknown[] }): unknown[] => Object.values(rows[0] as object)

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error) => error,
  )
const endAll = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'database-test'"

test.each([
  ['PGSSLMODE', 'require'],
  ['PGSSLMODE', 'verify-full'],
  ['PGSSLNEGOTIATION', 'direct'],
  ['PGOPTIONS', '-c nonsense=1'],
  ['PGPORT', '1'],
  ['PGHOST', '192.0.2.1'],
])('%s=%s of the caller’s shell changes no connection', async (name, value) => {
  vi.stubEnv(name, value)
  onTestFinished(() => void vi.unstubAllEnvs())
  const { rows } = await (await pool()).query('SELECT 1 AS one')
  expect(rows).toEqual([{ one: 1 }])
})

test('TLS that the URL asks for is asked for', async () => {
  const target = Object.assign(new URL(url), { search: 'sslmode=verify-full' }).href
  await expect((await pool({}, target)).query('SELECT 1')).rejects.toThrow('does not support SSL')
})

test('a connection says whose it is', async () => {
  const { rows } = await (await pool()).query("SELECT current_setting('application_name') AS name")
  expect(rows).toEqual([{ name: 'database-test' }])
})

describe.each(['pool', 'Prisma'])('through the %s', (way) => {
  const connect = async (options: Partial<DatabaseOptions> = {}, target = url) => {
    if (way === 'Prisma') return adapter(options, target)
    const plain = await pool(options, target)
    return (sql: string) => plain.query(sql)
  }

  test('a statement that runs too long is ended by the server, as an outage', async () => {
    const query = await connect({ statementTimeoutMs: 50 })
    const error = await failureOf(query('SELECT pg_sleep(10)'))
    expect(problemOf(error)).toMatchObject({ status: 503, body: { code: 'dependency-unavailable' } })
    await query('SELECT 1')
  })

  test('a database that refuses connections is an outage', async () => {
    const error = await failureOf((await connect({}, 'postgres://app:secret@127.0.0.1:1/app'))('SELECT 1'))
    expect(isDependencyOutage(error)).toBe(true)
  })

  test.each([
    ['TLS that the server does not have', (to: URL) => to.searchParams.set('sslmode', 'verify-full')],
    ['a wrong password', (to: URL) => Object.assign(to, { password: 'wrong' })],
    ['an unknown role', (to: URL) => Object.assign(to, { username: 'unknown' })],
    ['an unknown database', (to: URL) => Object.assign(to, { pathname: '/unknown' })],
    ['a database that is never open', (to: URL) => Object.assign(to, { pathname: '/template0' })],
    ['a setting that the server refuses', (to: URL) => to.searchParams.set('options', '-c nonsense=1')],
  ])('a connection refused for %s is an outage', async (_, change) => {
    const target = new URL(url)
    change(target)
    const error = await failureOf((await connect({}, target.href))('SELECT 1'))
    expect(error).toBeInstanceOf(Error)
    expect(problemOf(error)).toMatchObject({ status: 503, body: { code: 'dependency-unavailable' } })
  })

  test('a database that does not answer is an outage within the time for connecting', async () => {
    const proxy = await startFaultProxy({ port: Number(new URL(url).port) })
    onTestFinished(() => proxy.stop())
    proxy.blackHole()
    const startedAtMs = performance.now()
    const error = await failureOf((await connect({ connectTimeoutMs: 200 }, proxy.via(url)))('SELECT 1'))
    expect(performance.now() - startedAtMs).toBeLessThan(2_000)
    expect(isDependencyOutage(error)).toBe(true)
  })

  test('a pool that is empty for too long is an outage', async () => {
    const query = await connect({ poolMax: 1, connectTimeoutMs: 300 })
    await query('SELECT 1')
    const slow = query('SELECT 1 FROM pg_sleep(1)')
    const error = await failureOf(query('SELECT 1'))
    expect(isDependencyOutage(error)).toBe(true)
    await slow
  })

  test('connections that the server ends do not end the process, and the next query has a new one', async () => {
    const query = await connect()
    await query('SELECT 1')
    const running = failureOf(query('SELECT pg_sleep(10)'))
    await expect
      .poll(
        async () => (await admin.query("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(10)'")).rowCount,
      )
      .toBe(1)
    await admin.query(endAll)
    expect(isDependencyOutage(await running)).toBe(true)
    await expect.poll(() => query('SELECT 1').then(Boolean, () => false)).toBe(true)
  })

  test('an idle connection that breaks is told to who listens', async () => {
    const query = await connect()
    await query('SELECT 1')
    await admin.query(endAll)
    await expect.poll(() => onError.mock.calls.length).toBeGreaterThan(0)
    await query('SELECT 1')
  })

  test('a session has the settings that the code relies on, whatever the database has', async () => {
    const query = await connect({}, unusual.url)
    for (const [name, value] of Object.entries(expected)) {
      expect([name, valuesOf(await query(`SHOW ${name}`))]).toEqual([name, [value]])
    }
  })

  test('what the URL says of a session wins', async () => {
    const target = new URL(unusual.url)
    target.searchParams.set('options', '-c search_path=theirs -c work_mem=5MB')
    const query = await connect({}, target.href)
    expect(valuesOf(await query('SHOW search_path'))).toEqual(['theirs'])
    expect(valuesOf(await query('SHOW work_mem'))).toEqual(['5MB'])
    expect(valuesOf(await query('SHOW TimeZone'))).toEqual(['UTC'])
  })

  test('a time is the same instant for Postgres and for us', async () => {
    const query = await connect({}, unusual.url)
    const text = "to_char(now()::timestamptz(3) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS')"
    const [time, sameTime] = valuesOf(await query(`SELECT now()::timestamptz(3), ${text}`))
    expect(new Date(time as string).toISOString()).toBe(`${sameTime}Z`)
  })

  test('a database that is closed for writes is an outage', async () => {
    const query = await connect({}, (await testDatabase(undefined, { default_transaction_read_only: 'on' })).url)
    const error = await failureOf(query('CREATE TABLE new ()'))
    expect(problemOf(error)).toMatchObject({ status: 503, body: { code: 'dependency-unavailable' } })
  })

  test('a mistake in the question is no outage', async () => {
    const query = await connect()
    for (const sql of ['SELECT nonsense', 'SELECT 1/0', "SELECT 'x'::int"]) {
      const error = await failureOf(query(sql))
      expect(error).toBeInstanceOf(Error)
      expect([sql, isDependencyOutage(error)]).toEqual([sql, false])
    }
  })
})

test('a wait for a lock ends', async () => {
  const [one, two] = [await pool(), await pool({ lockTimeoutMs: 50 })]
  const holder = await one.connect()
  await holder.query('BEGIN; SELECT pg_advisory_xact_lock(1)')
  const error = await failureOf(two.query('BEGIN; SELECT pg_advisory_xact_lock(1)'))
  await holder.query('ROLLBACK')
  holder.release()
  expect(error).toMatchObject({ code: '55P03' })
  expect(problemOf(error).status).toBe(503)
})

test('a transaction that its owner forgot is ended by the server', async () => {
  const forgetful = await (await pool({ idleInTransactionTimeoutMs: 50 })).connect()
  const ended = new Promise((resolve) => forgetful.once('error', resolve))
  await forgetful.query('BEGIN')
  expect(await ended).toMatchObject({ code: '25P03' })
  forgetful.release(true)
})
