/** What a shopper may read of the catalog and an administrator may change. Writes are committed first and then forgotten by the cache. */
import type { Category, Product, ProductInput, ProductPatch } from '@shop/contracts/product'
import type { Cache, CacheSource } from '@shop/redis-kit/cache'
import type { Origin } from '@shop/service-kit/telemetry/origin'
import { errors } from '../errors.ts'
import { allCategories, type Freshness } from './freshness.ts'
import { drawProduct } from './image.ts'
import { createPages } from './pages.ts'
import type { ProductStore } from './store.ts'
import { type StoredResponse, toStoredResponse } from './stored-response.ts'

/** The part of the kit's cache that reads need. */
export type ResponseCache = Pick<Cache<StoredResponse>, 'get'>

/** A response that may have come out of the cache, and how it did. */
export interface CachedResponse {
  value: StoredResponse
  source: CacheSource
}

export interface ProductsOptions {
  products: ResponseCache
  categories: ResponseCache
  /** Told of each change after its commit. Must not reject. */
  forget: Freshness['forget']
}

export function createProducts(store: ProductStore, { forget, ...caches }: ProductsOptions) {
  return { ...createPages(store), read, categories, image, quote: store.quote, add, change, remove }

  async function read(sku: string): Promise<CachedResponse> {
    const { value, source } = await caches.products.get(sku, async () => {
      const json = await store.findJson(sku)
      return json === undefined ? undefined : toStoredResponse(json)
    })
    if (!value) throw errors.productNotFound(sku, { headers: { 'x-cache': source } })
    return { value, source }
  }

  async function categories(): Promise<CachedResponse> {
    const { value, source } = await caches.categories.get(allCategories, async () => {
      const items: Category[] = await store.categories()
      return toStoredResponse(JSON.stringify({ items }))
    })
    if (!value) throw new Error('the list of categories is missing')
    return { value, source }
  }

  async function image(sku: string): Promise<string> {
    const { value } = await read(sku)
    return drawProduct(JSON.parse(value.body) as Product)
  }

  async function add(input: ProductInput, origin?: Origin): Promise<Product> {
    const outcome = await store.add(input, origin)
    if (outcome === 'exists') throw errors.productExists()
    if (outcome === 'category-unknown') throw errors.categoryUnknown()
    await forget(outcome)
    return found(input.sku)
  }

  async function change(sku: string, patch: ProductPatch, origin?: Origin): Promise<Product> {
    const outcome = await store.change(sku, patch, origin)
    if (outcome === 'not-found') throw errors.productNotFound(sku)
    if (outcome === 'category-unknown') throw errors.categoryUnknown()
    await forget(outcome)
    return found(sku)
  }

  async function remove(sku: string, origin?: Origin): Promise<void> {
    const outcome = await store.remove(sku, origin)
    if (outcome === 'not-found') throw errors.productNotFound(sku)
    await forget(outcome)
  }

  async function found(sku: string): Promise<Product> {
    const product = await store.find(sku)
    if (!product) throw errors.productNotFound(sku)
    return product
  }
}

export type Products = ReturnType<typeof createProducts>
