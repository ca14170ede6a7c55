import { describe, expect, it } from 'vitest'
import { isNotModified, pack, unpack } from './stored-response.ts'

describe('a stored response', () => {
  it('gives back the body byte for byte, with a tag that depends on nothing else', () => {
    const json = JSON.stringify({ name: 'Tëapot ☕' })
    const { etag, body } = unpack(pack(json))
    expect(body.toString()).toBe(json)
    expect(etag).toMatch(/^"[A-Za-z0-9_-]{22}"$/)
    expect(unpack(pack(json)).etag).toBe(etag)
    expect(unpack(pack(`${json} `)).etag).not.toBe(etag)
  })
})

describe('If-None-Match', () => {
  const etag = '"abc"'

  it.each([['"abc"'], ['W/"abc"'], ['*'], ['"x", "abc"'], ['"x",W/"abc" , "y"'], [' * ']])(
    '%s is a match',
    (header) => {
      expect(isNotModified(header, etag)).toBe(true)
    },
  )

  it.each([[undefined], [''], ['abc'], ['"abcd"'], ['"x", "y"'], ['W/"x"']])('%s is none', (header) => {
    expect(isNotModified(header, etag)).toBe(false)
  })
})
