/**
 * The copies in this process's memory (L1): bounded in entries and in bytes. What is rarely used goes first, by second
 * chance (CLOCK): a hit only sets a flag, which is why it costs nothing; eviction walks from the oldest and spares, once,
 * whatever was used since. Which copies are allowed to be here is `coherence.ts`'s business.
 */

export interface LocalLimits {
  /** @default 10_000 */
  maxEntryCount?: number
  /** Of encoded values; objects in memory are some times larger. @default 32 MiB */
  maxBytes?: number
}

interface Entry<Result> {
  /** Settled already: a hit hands out this very promise and allocates nothing. */
  result: Promise<Result>
  expiresAtMs: number
  sizeBytes: number
  tags: readonly string[]
  isUsed: boolean
}

/** What an entry costs besides its value: the map's slot, the entry, the promise, the id. */
const ENTRY_BYTES = 200
const NO_TAGS: readonly string[] = []

export interface LocalInsert<Result> {
  result: Result
  /** By `performance.now()`. */
  expiresAtMs: number
  sizeBytes: number
  tags?: readonly string[]
}

export type LocalStore<Result> = ReturnType<typeof createLocalStore<Result>>

export function createLocalStore<Result>({ maxEntryCount = 10_000, maxBytes = 32 * 1024 * 1024 }: LocalLimits = {}) {
  const entries = new Map<string, Entry<Result>>()
  let totalBytes = 0

  /** `nowMs` by `performance.now()`, or nearly. */
  function get(id: string, nowMs: number): Promise<Result> | undefined {
    const entry = entries.get(id)
    if (entry === undefined) return undefined
    if (entry.expiresAtMs <= nowMs) {
      drop(id)
      return undefined
    }
    entry.isUsed = true
    return entry.result
  }

  function set(id: string, { result, expiresAtMs, sizeBytes, tags = NO_TAGS }: LocalInsert<Result>) {
    drop(id)
    const entry: Entry<Result> = {
      result: Promise.resolve(result),
      expiresAtMs,
      sizeBytes: sizeBytes + ENTRY_BYTES + id.length * 2,
      tags,
      isUsed: false,
    }
    if (entry.sizeBytes > maxBytes) return
    entries.set(id, entry)
    totalBytes += entry.sizeBytes
    while (entries.size > maxEntryCount || totalBytes > maxBytes) evictOne()
  }

  function evictOne() {
    for (const [id, entry] of entries) {
      drop(id)
      if (!entry.isUsed) return
      // Its second chance: to the young end, and it has to be used again to stay.
      entry.isUsed = false
      entries.set(id, entry)
      totalBytes += entry.sizeBytes
    }
  }

  function drop(id: string) {
    const entry = entries.get(id)
    if (entry === undefined) return
    entries.delete(id)
    totalBytes -= entry.sizeBytes
  }

  /** Walks all entries: tags are invalidated rarely, and an index of them would have to be bounded too. */
  function dropTag(tag: string) {
    for (const [id, entry] of entries) if (entry.tags.includes(tag)) drop(id)
  }

  function clear() {
    entries.clear()
    totalBytes = 0
  }

  return { get, set, drop, dropTag, clear, size: () => entries.size, bytes: () => totalBytes }
}

/** Shared by every caller from now on, so nobody may change it. Bytes cannot be frozen: they are the caller's honour. */
export function freezeDeep(value: unknown): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const key in value) freezeDeep((value as Record<string, unknown>)[key])
}
