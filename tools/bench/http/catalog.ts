/** The catalog as it runs in production: its own main.ts in a process of its own. */
import { startService } from '@shop/test-kit/service'
import type { HttpServer } from './loading.ts'
import type { Servers } from './suite.ts'

export interface CatalogOptions {
  /** Keeps copies in memory, as it does in production. @default true */
  withCopies?: boolean
  /** @default warn */
  logLevel?: 'warn' | 'info'
}

export async function startCatalog(
  { databaseUrl, redisUrl, stateUrl, identity }: Servers,
  { withCopies = true, logLevel = 'warn' }: CatalogOptions = {},
): Promise<HttpServer> {
  const service = await startService({
    app: 'catalog',
    env: {
      DATABASE_URL: databaseUrl,
      REDIS_CACHE_URL: redisUrl,
      REDIS_STATE_URL: stateUrl,
      IDENTITY_PUBLIC_KEY: identity.publicKey,
      LOG_LEVEL: logLevel,
      BENCH_COPIES: String(withCopies),
    },
    // Ours too, for a profile of this process.
    nodeArgs: [...process.execArgv, '--import', new URL('./catalog-hook.ts', import.meta.url).href],
  })
  return {
    port: service.port,
    cpuUs: () => cpuUsOf(`http://127.0.0.1:${service.internalPort}/metrics`),
    close: service.stop,
  }
}

async function cpuUsOf(metricsUrl: string): Promise<number> {
  const page = await (await fetch(metricsUrl)).text()
  const seconds = /^process_cpu_seconds_total(?:\{.*\})? (\S+)$/m.exec(page)?.[1]
  if (seconds === undefined) throw new Error(`${metricsUrl} does not tell the CPU time`)
  return Number(seconds) * 1e6
}
