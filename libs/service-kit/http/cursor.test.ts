import { Type } from 'typebox'
import { expect, test } from 'vitest'
import { createCursor } from './cursor.ts'

const cursor = createCursor(Type.Tuple([Type.Integer(), Type.String({ maxLength: 20 })]))

test('a position comes back as it was, through a word that is safe in a URL', () => {
  for (const position of [
    [0, 'TEA-1'],
    [Number.MAX_SAFE_INTEGER, 'ä€😀 +/='],
    [-1, ''],
  ] as [number, string][]) {
    const word = cursor.encode(position)
    expect(word).toMatch(/^[\w-]+$/)
    expect(cursor.decode(word)).toEqual(position)
  }
})

test('every damage to a cursor is cursor-invalid', () => {
  const word = cursor.encode([12_345, 'TEA-1'])
  const damaged = [
    '',
    'null',
    '!',
    word.slice(1),
    `${word}x${word}`,
    Buffer.from('{"__proto__":1}').toString('base64url'),
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('[1,"a","more"]').toString('base64url'),
    Buffer.from('["1","a"]').toString('base64url'),
    Buffer.from(`[1,"${'x'.repeat(21)}"]`).toString('base64url'),
    Buffer.from('[1e999,"a"]').toString('base64url'),
  ]
  for (const bad of damaged)
    expect(() => cursor.decode(bad), bad).toThrow(expect.objectContaining({ code: 'cursor-invalid', kind: 'invalid' }))
})
