import { describe, expect, test } from 'vitest'
import { distinctFamilies, type KeyFamilyOptions, keyFamily } from './keys.ts'

function family(pattern: string, options: Partial<KeyFamilyOptions> = {}) {
  const example = [...pattern.matchAll(/<[^>]+>/g)].map((_, index) => `id${index}`)
  return keyFamily({
    service: 'catalog',
    pattern,
    type: 'string',
    role: 'cache',
    ttl: { ms: 1000 },
    example,
    doc: 'a key of this test',
    ...options,
  })
}

describe('a key', () => {
  test('is the pattern with its ids, hash tag included', () => {
    const value = family('catalog:product:{<sku>}:value')
    expect(value.key('TEA-1')).toBe('catalog:product:{TEA-1}:value')
    expect(family('order:cart:{<user>}:<day>').key('u1', 20261123)).toBe('order:cart:{u1}:20261123')
    expect(family('catalog:stores').key()).toBe('catalog:stores')
  })
  test('cannot be left by an id: whatever has a meaning in keys, globs and logs is escaped', () => {
    const value = family('catalog:product:{<sku>}:value')
    expect(value.key('a:b{c}%<d>*?[e] f\n\\')).toBe(
      'catalog:product:{a%3Ab%7Bc%7D%25%3Cd%3E%2A%3F%5Be%5D%20f%0A%5C}:value',
    )
    expect(value.key('thé-\u00a0\u2028')).toBe('catalog:product:{thé-%C2%A0%E2%80%A8}:value')
    expect(value.matches(value.key('}:value:{'))).toBe(true)
  })
  test('is another one for another id', () => {
    const value = family('a:<x>')
    const ids = ['a', 'a:', 'a%3A', 'A', 'a ', 'a%20', 'é', 'e\u0301']
    expect(new Set(ids.map((id) => value.key(id))).size).toBe(ids.length)
  })
  test('needs every id, none of them empty or broken', () => {
    const value = family('a:<x>:<y>')
    expect(() => value.key('1')).toThrow('must get 2 ids, not 1')
    expect(() => value.key('1', '2', '3')).toThrow(TypeError)
    expect(() => value.key('1', '')).toThrow('not be empty')
    expect(() => value.key('1', '\ud800')).toThrow('well-formed Unicode')
  })
})

describe('a family', () => {
  test('knows its own keys and no others', () => {
    const value = family('catalog:product:{<sku>}:value')
    expect(value.matches('catalog:product:{TEA-1}:value')).toBe(true)
    for (const other of [
      'catalog:product:{TEA-1}:values',
      'xcatalog:product:{TEA-1}:value',
      'catalog:product:{}:value',
      'catalog:product:{a:b}:value',
      'catalog:product:TEA-1:value',
      'catalog:product:{TEA-1}:value\n',
    ]) {
      expect(value.matches(other), other).toBe(false)
    }
  })
  test('names the glob for SCAN and ACLs, and an example', () => {
    const value = family('a:{<x>}:<y>')
    expect(value.glob).toBe('a:{*}:*')
    expect(value.exampleKey).toBe('a:{id0}:id1')
  })
  test('needs an example that fits', () => {
    expect(() => family('a:<x>', { example: [] })).toThrow(TypeError)
  })
})

describe('a list of families', () => {
  test('is accepted when no two can make the same key', () => {
    const families = [family('a:<x>'), family('a:<x>:b'), family('b:<x>')]
    expect(distinctFamilies(families)).toEqual(families)
  })
  test.each([
    ['a:<x>', 'a:<y>'],
    ['a:<x>', 'a:meta'],
    ['a:meta', 'a:<x>'],
    ['a:{<x>}:b', 'a:{<y>}:<z>'],
  ])('is refused when %s and %s could be one key', (one, other) => {
    expect(() => distinctFamilies([family(one), family(other)])).toThrow('overlap')
  })
})
