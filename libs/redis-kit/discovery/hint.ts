/**
 * A change of a service's instances, told on its channel: `<rev> up <json>`, `<rev> left <id>`, `<rev> gone <id>`.
 * Enough to be applied; but pub/sub may lose it, so `rev` counts without a hole and whoever sees one asks the registry.
 */
import { decodeRecord, type Instance } from './instance.ts'

/** up: new, changed or back. left: said goodbye. gone: has not been heard for a TTL and was removed by somebody's beat. */
export type Hint = { rev: number; what: 'up'; instance: Instance } | { rev: number; what: 'left' | 'gone'; id: string }

/** Undefined for what is no hint. */
export function parseHint(message: string): Hint | undefined {
  const [, revText, what, body = ''] = /^(\d{1,16}) (up|left|gone) (.+)$/s.exec(message) ?? []
  const rev = Number(revText)
  if (what === 'left' || what === 'gone') return { rev, what, id: body }
  const instance = what === 'up' ? decodeRecord(body) : undefined
  return instance && { rev, what: 'up', instance }
}
