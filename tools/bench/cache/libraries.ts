/** The cache libraries of Node, each as its documentation says, over Redis alone. Read-through, since that is what they are for. */
import { connectPlain } from '../harness/plain-redis.ts'
import type { Load, Reader } from './reading.ts'

const ttlMs = 3_600_000

/** How each is opened; the keys of one are never those of another. */
export const libraries = {
  async 'async-cache-dedupe'(url: string, load: Load): Promise<Reader> {
    const { createCache } = await import('async-cache-dedupe')
    const client = connectPlain(url)
    const storage = { type: 'redis', options: { client } } as const
    const cache = createCache({ ttl: ttlMs / 1000, storage }).define('product', load)
    return { read: (sku) => cache.product(sku), close: () => client.quit() }
  },

  async bentocache(url: string, load: Load): Promise<Reader> {
    const { BentoCache, bentostore } = await import('bentocache')
    const { redisDriver } = await import('bentocache/drivers/redis')
    const connection = connectPlain(url)
    const store = bentostore().useL2Layer(redisDriver({ connection: connection as never, prefix: 'bentocache' }))
    const bento = new BentoCache({ default: 'main', ttl: ttlMs, stores: { main: store } })
    return {
      read: (sku) => bento.getOrSet({ key: sku, factory: () => load(sku) }),
      close: () => bento.disconnect(),
    }
  },

  async cacheable(url: string, load: Load): Promise<Reader> {
    const { Cacheable } = await import('cacheable')
    const { createKeyv } = await import('@keyv/redis')
    const cache = new Cacheable({ primary: createKeyv(url, { namespace: 'cacheable' }), ttl: ttlMs })
    return {
      read: (sku) => cache.getOrSet(sku, () => load(sku)),
      close: () => cache.disconnect(),
    }
  },

  async 'cache-manager'(url: string, load: Load): Promise<Reader> {
    const { createCache } = await import('cache-manager')
    const { createKeyv } = await import('@keyv/redis')
    const cache = createCache({ stores: [createKeyv(url, { namespace: 'cache-manager' })], ttl: ttlMs })
    return {
      read: (sku) => cache.wrap(sku, () => load(sku)),
      close: () => cache.disconnect(),
    }
  },
}

export type Library = keyof typeof libraries
export const peerNames = Object.keys(libraries) as Library[]
