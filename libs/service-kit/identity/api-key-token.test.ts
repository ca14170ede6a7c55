import { describe, expect, test } from 'vitest'
import { apiKeyPrefix, newApiKeyId, newApiKeyToken, parseApiKeyToken } from './api-key-token.ts'

test('a token names its key, and is recognised', () => {
  const { id, token, digest } = newApiKeyToken(newApiKeyId())
  expect(token).toMatch(/^shop_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}$/)
  expect(token.startsWith(`${apiKeyPrefix(id)}_`)).toBe(true)
  expect(parseApiKeyToken(token)).toEqual({ id, digest })
  expect(digest).toMatch(/^[\w-]{43}$/)
})

test('no two tokens are equal, also of one key', () => {
  const id = newApiKeyId()
  const tokens = new Set(Array.from({ length: 1_000 }, () => newApiKeyToken(id).token))
  const ids = new Set(Array.from({ length: 1_000 }, newApiKeyId))
  expect([tokens.size, ids.size]).toEqual([1_000, 1_000])
})

test('each of the digits occurs at each place of a secret but the first, where 256 bits end', () => {
  const secrets = Array.from({ length: 3_000 }, () => newApiKeyToken('00000000').token.slice(14, 57))
  const seen = Array.from({ length: 43 }, (_, place) => new Set(secrets.map((secret) => secret[place])).size)
  expect(seen.slice(1).every((count) => count === 62)).toBe(true)
})

describe('what is refused without a look at Redis', () => {
  const { token } = newApiKeyToken('k7Tq3ZpA')
  const last = token.endsWith('0') ? '1' : '0'
  test.each([
    ['nothing', ''],
    ['noise', 'noise'],
    ['another prefix', token.replace('shop_', 'ghp_')],
    ['a token that was cut', token.slice(0, -1)],
    ['one with a character more', `${token}0`],
    ['a changed checksum', token.slice(0, -1) + last],
    ['another id', token.replace('k7Tq3ZpA', 'k7Tq3ZpB')],
    ['two characters in each other’s place', token.replace('k7', '7k')],
    ['a line break at its end', `${token}\n`],
    ['a dot in place of a character', token.replace('k', '.')],
  ])('%s', (_name, text) => {
    expect(parseApiKeyToken(text)).toBeUndefined()
  })
})
