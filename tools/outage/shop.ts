/** A catalog as a process, with servers of its own that may be killed. */
import { generateIdentityKeys } from '@shop/service-kit/identity'
import { createDatabase } from '@shop/test-kit/postgres-database'
import { startPostgres } from '@shop/test-kit/postgres-server'
import { startRedis } from '@shop/test-kit/redis-server'
import { startService } from '@shop/test-kit/service'
import { migrate } from '../migrate.ts'
import { generateProducts } from '../seed/catalogue.ts'
import { seed } from '../seed.ts'

export interface ShopOptions {
  productCount: number
  /** DATABASE_POOL_MAX of the catalog. */
  poolMax: number
}

export async function startCatalog({ productCount, poolMax }: ShopOptions) {
  const undo: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const step of undo.reverse()) await step()
  }
  try {
    const [postgres, cache, state] = await Promise.all([startPostgres(), startRedis(), startRedis()])
    undo.push(postgres.stop, state.stop, cache.stop)
    const databaseUrl = await createDatabase(postgres.url, 'catalog', { name: 'catalog' })
    await migrate({ service: 'catalog', databaseUrl })
    await seed({ catalogUrl: databaseUrl, productCount })
    const { IDENTITY_PRIVATE_KEY: identityPrivateKey, IDENTITY_PUBLIC_KEY } = generateIdentityKeys()
    const catalog = await startService({
      app: 'catalog',
      nodeArgs: ['--inspect=127.0.0.1:0'],
      env: {
        DATABASE_URL: databaseUrl,
        DATABASE_POOL_MAX: String(poolMax),
        REDIS_CACHE_URL: cache.url,
        REDIS_STATE_URL: state.url,
        IDENTITY_PUBLIC_KEY,
        // A line per request would be two thousand a second, and the reading of them a load of its own.
        LOG_LEVEL: 'error',
      },
    })
    undo.push(catalog.stop)
    const skus = Array.from(generateProducts(productCount), ({ sku }) => sku)
    return { catalog, cache, databaseUrl, identityPrivateKey, skus, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
