/**
 * A cache in Redis, in front of a slower source, that does not stay wrong: an invalidation also voids every load under way;
 * that loads each missing value once, however many processes ask; and that lets the source answer when Redis cannot.
 *
 *     const products = createCache<Product>(redis, { keys: cacheKeys('catalog', 'product'), ttlMs: MINUTE_MS })
 *     const { value, source } = await products.get(sku, () => store.find(sku))
 *     await products.invalidate(sku)       // after the commit
 *
 * read-through.ts follows one read; README.md has the guarantees and their limits.
 */
import type { Redis } from '../connection/connection.ts'
import { createBatch } from './batch.ts'
import { createCore } from './core.ts'
import type { CacheResult } from './events.ts'
import { createLoader } from './loader.ts'
import { createLocalStore } from './local.ts'
import type { Cache, CacheOptions, CacheStats, Load, LoadMany, TagOptions } from './options.ts'
import { createReadThrough, type ReadThrough } from './read-through.ts'
import { invalidateEverywhere, invalidateTagEverywhere, writeThrough } from './write-through.ts'

export { type CacheKeys, cacheKeys } from './cache-keys.ts'
export { type Codec, jsonCodec, ValueTooLarge } from './codec.ts'
export type { CacheEvent, CacheEventDetail, CacheResult, CacheSource, OnEvent } from './events.ts'
export { LoaderOverloaded, LoadTimeout } from './loader.ts'
export type { Cache, CacheOptions, CacheStats, Load, LoadMany, LocalOptions, TagOptions } from './options.ts'
export type { PutOutcome, PutResult } from './write-through.ts'

const NO_TAGS: readonly string[] = []

/** Throws a RangeError for numbers that make no sense and for lifetimes that the declared keys do not allow. */
export function createCache<Value>(redis: Redis, options: CacheOptions<Value>): Cache<Value> {
  const { local, leaseMs = 3_000, maxLoadCount = 16, maxQueuedCount = 1_000, onEvent } = options
  const { core, breaker, objects, bytes, close } = createCore(redis, options)
  const limits = { concurrencyCount: maxLoadCount, queueCount: maxQueuedCount, timeoutMs: leaseMs }
  const loader = createLoader({ ...limits, onEvent })
  const objectCopies = local && createLocalStore<CacheResult<Value>>(local)
  const bytesCopies = local && createLocalStore<CacheResult<Buffer>>(local)
  const values = createReadThrough(core, objects, objectCopies)
  const buffers = createReadThrough(core, bytes, bytesCopies)

  function through<T>(reader: ReadThrough<T>) {
    return (id: string, load: Load<T>, options?: TagOptions) =>
      reader.local(id) ?? reader.read({ id, tags: options?.tags ?? NO_TAGS, load: () => loader.ask(load) })
  }

  async function many(ids: readonly string[], loadMany: LoadMany<Value>, { tags = NO_TAGS }: TagOptions = {}) {
    const wanted = [...new Set(ids)]
    const batch = createBatch(wanted, (missing) => loader.ask((signal) => loadMany(missing, signal)))
    const reads = wanted.map(async (id) => {
      const onWait = () => batch.decide(id)
      const load = () => batch.load(id)
      const read = values.local(id) ?? values.read({ id, tags, load, onWait })
      return [id, await read.finally(onWait)] as const
    })
    return new Map(await Promise.all(reads))
  }

  function copiesState(): Pick<CacheStats, 'copies' | 'copiesOffReason'> {
    if (!local) return { copies: 'none' }
    const copiesOffReason = core.coherence.offReason()
    return copiesOffReason ? { copies: 'off', copiesOffReason } : { copies: 'on' }
  }

  return {
    get: through(values),
    getBytes: through(buffers),
    many,
    put: (id, write, { tags = NO_TAGS } = {}) => writeThrough(core, objects, { id, tags, write }),
    async invalidate(id) {
      onEvent?.('invalidate')
      await invalidateEverywhere(core, id)
    },
    async invalidateTag(tag) {
      onEvent?.('invalidate')
      await invalidateTagEverywhere(core, tag)
    },
    stats: () => ({
      ...loader.stats(),
      copyCount: (objectCopies?.size() ?? 0) + (bytesCopies?.size() ?? 0),
      copyBytes: (objectCopies?.bytes() ?? 0) + (bytesCopies?.bytes() ?? 0),
      breaker: breaker.state(),
      ...copiesState(),
    }),
    close,
  }
}
