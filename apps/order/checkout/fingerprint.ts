/** When two requests are the same request. */
import { createHash } from 'node:crypto'

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** Of what is asked for, not of how it is written: the order of fields does not matter. */
export function fingerprint(method: string, route: string, body: unknown): string {
  return digest(JSON.stringify([method, route, canonical(body)]))
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, canonical(inner)])
}
