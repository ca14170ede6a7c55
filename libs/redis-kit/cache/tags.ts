/**
 * Tags: many values invalidated by one command, however many there are. No list of members is kept (it would grow without
 * bound and span hash slots); a tag is one key with a random stamp, and each value carries the stamps that its tags had
 * before it was loaded. Whoever reads the value compares. A tag whose key is gone, evicted or expired, matches nothing.
 */
import type { Redis } from '../connection/connection.ts'
import { script } from '../script.ts'
import type { Announcements } from './announcements.ts'
import type { CacheKeys } from './cache-keys.ts'
import { isToken, MAX_TAG_BYTES, MAX_TAG_COUNT, newToken, type Stamp } from './envelope.ts'

const invalidateTag = script<string>(new URL('./invalidate-tag.lua', import.meta.url), { effect: 'idempotent' })

/** Present stamps by tag; null where there is none. */
export type Stamps = ReadonlyMap<string, Buffer | null>

export type Tags = ReturnType<typeof createTags>

export function createTags(redis: Redis, keys: CacheKeys, { scriptChannel, announce }: Announcements) {
  const keepMs = 'ms' in keys.tag.ttl ? keys.tag.ttl.ms : 0

  /** For a value about to be loaded: the stamps to seal with it. Creates those that are missing and keeps all alive. */
  async function stamp(tags: readonly string[]): Promise<Stamp[]> {
    return Promise.all(
      tags.map(async (tag): Promise<Stamp> => {
        const key = keys.tag.key(tag)
        const fresh = newToken()
        const [present] = await Promise.all([
          redis.setBuffer(key, fresh, 'PX', keepMs, 'NX', 'GET'),
          redis.pexpire(key, keepMs),
        ])
        if (!present) return [tag, fresh]
        if (!isToken(present)) await redis.set(key, fresh, 'PX', keepMs) // written by something else
        return [tag, isToken(present) ? present : fresh]
      }),
    )
  }

  /** For a value that was found. Tags live in slots of their own, so on a Cluster each is asked for by itself. */
  async function read(tags: readonly string[]): Promise<Stamps> {
    const tagKeys = tags.map((tag) => keys.tag.key(tag))
    const stamps = redis.isCluster
      ? await Promise.all(tagKeys.map((key) => redis.getBuffer(key)))
      : await redis.mgetBuffer(tagKeys)
    return new Map(tags.map((tag, index) => [tag, stamps[index] ?? null]))
  }

  async function invalidate(tag: string): Promise<void> {
    await invalidateTag(redis, [keys.tag.key(tag)], [newToken(), keepMs, scriptChannel, `t${tag}`])
    await announce(`t${tag}`)
  }

  /** Throws for what cannot be a tag. */
  function check(tags: readonly string[]): void {
    if (tags.length > MAX_TAG_COUNT)
      throw new RangeError(`a value must have at most ${MAX_TAG_COUNT} tags, not ${tags.length}`)
    for (const tag of tags) {
      if (keys.tag.key(tag) && Buffer.byteLength(tag) > MAX_TAG_BYTES)
        throw new RangeError(`the tag is too long: ${tag}`)
    }
  }

  return { stamp, read, invalidate, check }
}

/** Is the value sealed with exactly the present stamps of its tags, and of those that the reader asks for? */
export function areCurrent(sealed: readonly Stamp[], wanted: readonly string[], present: Stamps): boolean {
  return (
    sealed.every(([tag, stamp]) => present.get(tag)?.equals(stamp) === true) &&
    wanted.every((tag) => sealed.some(([name]) => name === tag))
  )
}
