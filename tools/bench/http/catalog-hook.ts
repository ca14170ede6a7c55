/**
 * Loaded into the catalog's process before it starts. Gives its app.ts the cache of catalog-cache.ts, and tells whoever connects to
 * BENCH_CPU_SOCKET how much CPU time the process has used: its own metrics would tell too, but asking them takes milliseconds.
 */
import { registerHooks } from 'node:module'
import { createServer } from 'node:net'

registerHooks({
  resolve(specifier, context, nextResolve) {
    const isForApp = specifier === '@shop/redis-kit/cache' && context.parentURL?.endsWith('/apps/catalog/app.ts')
    return nextResolve(isForApp ? new URL('./catalog-cache.ts', import.meta.url).href : specifier, context)
  },
})

createServer((socket) => socket.end(JSON.stringify(process.cpuUsage())))
  .listen(process.env.BENCH_CPU_SOCKET)
  .unref()
