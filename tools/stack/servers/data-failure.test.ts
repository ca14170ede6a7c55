import { StartError } from '@shop/test-kit/server-process'
import { expect, test } from 'vitest'
import { explainDataFailure } from './data-failure.ts'

const explained = (error: Error) => (explainDataFailure('postgres', '/data', error) as Error).message
const failed = (log: string) => new StartError('Postgres stopped while starting', log)

test.each([
  '2026-01-01 UTC [1] FATAL:  database files are incompatible with server',
  '2026-01-01 UTC [1] PANIC:  could not locate a valid checkpoint record at 0/1',
  '2026-01-01 UTC [1] FATAL:  incorrect checksum in control file',
  '1:M 01 Jan 2026 00:00:00.000 # Bad file format reading the append only file',
])('--fresh is advised for damaged files: %s', (line) => {
  expect(explained(failed(line))).toContain('--fresh')
})

test.each([
  Object.assign(new Error('unrecognized configuration parameter "nonsense"'), { code: '42704' }),
  Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' }),
  failed('2026-01-01 UTC [1] FATAL:  invalid value for parameter "DateStyle": "nonsense"'),
  failed('2026-01-01 UTC [1] FATAL:  could not create shared memory segment: Cannot allocate memory'),
])('--fresh, which deletes data, is not advised for %s', (error) => {
  expect(explained(error)).not.toContain('--fresh')
})
