/** How readers come to see a write: what the cache has of the products is forgotten, in Redis and in the memory of every instance. */

/** What a write has changed of that which is shown. */
export interface Change {
  skus: readonly string[]
  /** The numbers of products per category are others now. @default false */
  areCountsChanged?: boolean
}

interface Forgetful {
  invalidate(id: string): Promise<void>
}

export interface FreshnessOptions {
  products: Forgetful
  categories: Forgetful
  /** Hears of a change that could not be told to the cache at once. */
  onStale(error: unknown, change: Change): void
}

/** The one entry of the cache of categories. */
export const allCategories = 'all'

/** Invalidations under way at once: an import has hundreds in a batch. */
const concurrency = 64

export type Freshness = ReturnType<typeof createFreshness>

export function createFreshness({ products, categories, onStale }: FreshnessOptions) {
  return { forget, invalidate }

  /** Call it after the commit. Never rejects: what the cache was not told now, it is told by the event from the outbox. */
  async function forget(change: Change): Promise<void> {
    await invalidate(change).catch((error) => onStale(error, change))
  }

  /** Rejects, at the first failure, when the cache cannot be told. May be repeated. */
  async function invalidate({ skus, areCountsChanged = false }: Change): Promise<void> {
    for (let start = 0; start < skus.length; start += concurrency) {
      await Promise.all(skus.slice(start, start + concurrency).map((sku) => products.invalidate(sku)))
    }
    if (areCountsChanged) await categories.invalidate(allCategories)
  }
}
