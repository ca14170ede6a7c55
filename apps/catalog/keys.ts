/** Every key and channel of the catalog, and order's topic that it reads. */
import { topics } from '@shop/contracts/topics'
import { cacheKeys } from '@shop/redis-kit/cache'
import { distinctFamilies } from '@shop/redis-kit/keys'
import { topicKeys } from '@shop/redis-kit/stream'

const minuteMs = 60_000

const { orderEvents, catalogStock, catalogProducts } = topics

export const keys = {
  products: cacheKeys('catalog', 'product', { ttlMs: 15 * minuteMs }),
  categories: cacheKeys('catalog', 'categories', { ttlMs: 15 * minuteMs }),
  stock: topicKeys(catalogStock.service, catalogStock.entity, catalogStock),
  changes: topicKeys(catalogProducts.service, catalogProducts.entity, catalogProducts),
  orders: topicKeys(orderEvents.service, orderEvents.entity, orderEvents),
}

export const keyFamilies = distinctFamilies([
  ...Object.values(keys.products),
  ...Object.values(keys.categories),
  ...keys.stock.families,
  ...keys.changes.families,
])
