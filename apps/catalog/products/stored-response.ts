/**
 * What is cached is not the product but the answer: the ETag, then the body, as they go to the socket. A hit is neither parsed nor
 * serialised nor hashed. The ETag is strong: equal tags, equal bytes.
 */
import { hash } from 'node:crypto'

export interface StoredResponse {
  etag: string
  body: Buffer
}

/** 128 bits of SHA-256 and the quotes that an ETag has. */
const etagBytes = 24

export function pack(json: string): Buffer {
  return Buffer.from(`"${hash('sha256', json, 'base64url').slice(0, etagBytes - 2)}"${json}`)
}

export function unpack(bytes: Buffer): StoredResponse {
  return { etag: bytes.toString('latin1', 0, etagBytes), body: bytes.subarray(etagBytes) }
}

/** If-None-Match (RFC 9110, 13.1.2): a list of tags, compared weakly, or `*` for "any". */
export function isNotModified(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
