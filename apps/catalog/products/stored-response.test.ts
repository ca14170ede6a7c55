import { describe, expect, it } from 'vitest'
import { isNotModified, storedResponses, toStoredResponse } from './stored-response.ts'

describe('a stored response', () => {
  const body = JSON.stringify({ name: 'Tëapot ☕' })

  it('comes out of the cache as it went in', () => {
    const stored = toStoredResponse(body)
    expect(storedResponses.decode(storedResponses.encode(stored))).toEqual({ etag: stored.etag, body })
  })

  it('has a tag that depends on the body and on nothing else', () => {
    const { etag } = toStoredResponse(body)
    expect(etag).toMatch(/^"[A-Za-z0-9_-]{22}"$/)
    expect(toStoredResponse(body).etag).toBe(etag)
    expect(toStoredResponse(`${body} `).etag).not.toBe(etag)
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
