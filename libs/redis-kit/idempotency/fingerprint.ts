/** When two requests are the same request: their fingerprints are equal. */
import { createHash } from 'node:crypto'

/** Deeper than any body that a service accepts, and far from the end of the stack. */
const MAX_DEPTH = 64

/** A body that is nested so deeply that it is an attack and no request. */
export class BodyTooDeep extends RangeError {
  readonly code = 'IDEMPOTENCY_BODY_TOO_DEEP'
  override readonly name = 'BodyTooDeep'
}

/**
 * SHA-256 of what is asked for, and not of how it is written: the order of fields and white space make no difference, the
 * order of a list does. `url` is what was really asked, ids and query included. A body is JSON, bytes, or undefined.
 */
export function fingerprint(method: string, url: string, body: unknown): string {
  const hash = createHash('sha256').update(`${method} ${url}\n`)
  if (body instanceof Uint8Array) hash.update('bytes ').update(body)
  else if (body !== undefined) hash.update('json ').update(canonicalJson(body))
  return hash.digest('base64url')
}

/** RFC 8785: fields sorted by UTF-16 code units, no white space, numbers as JavaScript writes them. Throws BodyTooDeep. */
export function canonicalJson(value: unknown, depth = 0): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (depth === MAX_DEPTH) throw new BodyTooDeep(`a body must be nested at most ${MAX_DEPTH} deep`)
  if (Array.isArray(value)) return `[${value.map((inner) => canonicalJson(inner, depth + 1)).join(',')}]`
  const fields = Object.entries(value).filter(([, inner]) => inner !== undefined)
  fields.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([name, inner]) => `${JSON.stringify(name)}:${canonicalJson(inner, depth + 1)}`).join(',')}}`
}
