/** The keys of one cache. The id is the hash tag: a value and its lease live in one slot, so that one script moves both. */
import { type KeyFamily, keyFamily } from '../keys.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** No lease lasts longer than this. */
export const MAX_LEASE_MS = 60_000

export interface CacheKeysOptions {
  /** The longest that Redis may keep a value, stale time and jitter included; `createCache` refuses to exceed it. @default a day */
  ttlMs?: number
}

/** A type and not an interface, so that it is a record of families: `Object.values(cacheKeys(…))`. */
export type CacheKeys = { value: KeyFamily; lease: KeyFamily; tag: KeyFamily; invalidations: KeyFamily }

export function cacheKeys(service: string, entity: string, { ttlMs = DAY_MS }: CacheKeysOptions = {}): CacheKeys {
  const prefix = `${service}:${entity}`
  const common = { service, role: 'cache' } as const
  return {
    value: keyFamily({
      ...common,
      pattern: `${prefix}:{<id>}:value`,
      type: 'string',
      ttl: { ms: ttlMs },
      example: ['42'],
      doc: 'a cached value in its envelope, or the mark of a value that does not exist',
    }),
    lease: keyFamily({
      ...common,
      pattern: `${prefix}:{<id>}:lease`,
      type: 'string',
      ttl: { ms: MAX_LEASE_MS },
      example: ['42'],
      doc: 'the right of one process to load the value and store it',
    }),
    tag: keyFamily({
      ...common,
      pattern: `${prefix}:tag:<tag>`,
      type: 'string',
      ttl: { ms: ttlMs },
      example: ['popular'],
      doc: 'the present stamp of a tag; values with another stamp are void',
    }),
    invalidations: keyFamily({
      ...common,
      pattern: `${prefix}:invalidations`,
      type: 'channel',
      ttl: { immortal: 'a channel stores nothing' },
      example: [],
      doc: 'ids and tags whose copies in process memory are void',
    }),
  }
}
