/** Loaded into the catalog's process before it starts: gives its app.ts the cache of catalog-cache.ts, and changes nothing else. */
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, nextResolve) {
    const isForApp = specifier === '@shop/redis-kit/cache' && context.parentURL?.endsWith('/apps/catalog/app.ts')
    return nextResolve(isForApp ? new URL('./catalog-cache.ts', import.meta.url).href : specifier, context)
  },
})
