/** Which values this process keeps a copy of, and for how long. */
import type { CacheResult } from './events.ts'
import { freezeDeep } from './local.ts'
import type { Reader } from './reader.ts'
import type { CachedRecord } from './records.ts'

/** The copy in memory. Synchronous up to the settled promise: this is the path of millions a second. */
export function localCopy<Value>(reader: Reader<Value>, id: string): Promise<CacheResult<Value>> | undefined {
  const { store, coarseClock, coherence, onEvent } = reader
  if (store === undefined) return undefined
  const nowMs = coarseClock()
  const copy = coherence.isUsable(nowMs) ? store.get(id, nowMs) : undefined
  if (copy !== undefined) onEvent?.('hit-local')
  return copy
}

/** Keeps a copy, unless something that concerns it was invalidated since `captured`. It ends when freshness ends, or before. */
export function keepCopy<Value>(
  reader: Reader<Value>,
  id: string,
  record: CachedRecord<Value>,
  captured: number,
): void {
  const { store, coherence, localTtlMs } = reader
  if (!store || !coherence.isUsable() || !coherence.isCurrent(id, captured)) return
  const keepMs = Math.min(localTtlMs, record.freshMs - earlyMs(reader, record))
  if (keepMs <= 0) return
  freezeDeep(record.value)
  store.set(id, {
    result: Object.freeze({ value: record.value, source: 'hit-local' }),
    expiresAtMs: performance.now() + keepMs,
    sizeBytes: record.sizeBytes,
    tags: record.stamps.map(([tag]) => tag),
  })
}

/**
 * How much before the end of freshness this very read would refresh (XFetch: Vattani et al., VLDB 2015): drawn anew each
 * time, in proportion to what a load costs. Of many readers one is early, and the others never see the value stale.
 */
export function earlyMs({ beta }: { beta: number }, { loadCostMs }: { loadCostMs: number }): number {
  return -Math.log(1 - Math.random()) * loadCostMs * beta
}
