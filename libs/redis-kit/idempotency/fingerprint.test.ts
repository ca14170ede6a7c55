import { describe, expect, test } from 'vitest'
import { BodyTooDeep, canonicalJson, fingerprint } from './fingerprint.ts'

const ofBody = (body: unknown) => fingerprint('POST', '/api/orders', body)

describe('two requests have the same fingerprint', () => {
  test.each([
    ['whatever the order of their fields', { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
    ['with a field that is not there and one that is undefined', { a: 1 }, { a: 1, b: undefined }],
    ['however a number is written', JSON.parse('{"a":1e2}'), JSON.parse('{"a":100.0}')],
  ])('%s', (_, one, other) => {
    expect(ofBody(one)).toBe(ofBody(other))
  })
})

describe('two requests have different fingerprints', () => {
  test.each([
    ['for another value', { a: 1 }, { a: 2 }],
    ['for another type', { a: 1 }, { a: '1' }],
    ['for another order of a list', [1, 2], [2, 1]],
    ['for a field that is null and one that is not there', { a: null }, {}],
    ['for an object and the list of its entries', { a: 1 }, [['a', 1]]],
    ['for no body and an empty one', undefined, {}],
    ['for text and the bytes of the text', 'a', Buffer.from('a')],
    ['for fields that look alike when run together', { 'a":1,"b': 1 }, { a: 1, b: 1 }],
  ])('%s', (_, one, other) => {
    expect(ofBody(one)).not.toBe(ofBody(other))
  })

  test('for another method, id or query', () => {
    const prints = [
      ['POST', '/orders/1'],
      ['PUT', '/orders/1'],
      ['POST', '/orders/2'],
      ['POST', '/orders/1?dry'],
    ].map(([method, url]) => fingerprint(method as string, url as string, { a: 1 }))
    expect(new Set(prints).size).toBe(4)
  })
})

test('the canonical form is that of RFC 8785', () => {
  const example = JSON.parse(
    '{"numbers":[333333333.33333329,1E30,4.50,2e-3],"\\u20ac":"\\u000F","\\r":"\\\\\\"","1":null}',
  )
  expect(canonicalJson(example)).toBe(
    '{"\\r":"\\\\\\"","1":null,"numbers":[333333333.3333333,1e+30,4.5,0.002],"€":"\\u000f"}',
  )
})

test('a body that is nested without end is refused, not followed', () => {
  expect(() => ofBody(JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)))).toThrow(BodyTooDeep)
})
