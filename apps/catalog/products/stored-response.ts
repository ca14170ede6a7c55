/**
 * What is cached is not the product but the answer: the ETag and the body, as they go to the socket. A hit is neither parsed nor
 * serialised nor hashed. The ETag is strong: equal tags, equal bytes.
 */
import { hash } from 'node:crypto'
import type { Codec } from '@shop/redis-kit/cache'

export interface StoredResponse {
  etag: string
  /** Text and not bytes: Node sends it with the head in one packet, by one call of the system. Bytes take two, and half as long again. */
  body: string
}

/** 128 bits of SHA-256 and the quotes that an ETag has. */
const etagLength = 24

export function toStoredResponse(body: string): StoredResponse {
  return { etag: `"${hash('sha256', body, 'base64url').slice(0, etagLength - 2)}"`, body }
}

/** In Redis: the ETag, then the body. */
export const storedResponses: Codec<StoredResponse> = {
  name: 'stored-response',
  encode: ({ etag, body }) => Buffer.from(etag + body),
  decode: (bytes) => ({ etag: bytes.toString('latin1', 0, etagLength), body: bytes.toString('utf8', etagLength) }),
}

/** If-None-Match (RFC 9110, 13.1.2): a list of tags, compared weakly, or `*` for "any". */
export function isNotModified(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
