import { expect, test } from 'vitest'
import { checkNumbers } from './number-options.ts'

interface Options {
  ttlMs?: number
  maxCount?: number
}
const check = (options: object) =>
  checkNumbers<Options>('thing', options, { ttlMs: { min: 1, max: 1_000 }, maxCount: { min: 0, isWhole: true } })

test.each([{}, { ttlMs: 1 }, { ttlMs: 1_000 }, { ttlMs: 0.5 + 1 }, { maxCount: 0 }, { ttlMs: undefined }])(
  '%j passes',
  (options) => expect(() => check(options)).not.toThrow(),
)

test.each([
  [{ ttlMs: Number.NaN }, 'thing: ttlMs must be from 1 to 1000, not NaN'],
  [{ ttlMs: Number.POSITIVE_INFINITY }, 'not Infinity'],
  [{ ttlMs: -1 }, 'not -1'],
  [{ ttlMs: 1_001 }, 'not 1001'],
  [{ ttlMs: '60' }, 'not "60"'],
  [{ ttlMs: null }, 'not null'],
  [{ maxCount: 1.5 }, 'maxCount must be a whole number from 0 to 9007199254740991, not 1.5'],
])('%o does not, and the error says why', (options, text) => {
  expect(() => check(options)).toThrow(RangeError)
  expect(() => check(options)).toThrow(text)
})
