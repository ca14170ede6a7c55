/** The catalog as it runs in production: its own main.ts in a process of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { startService } from '@shop/test-kit/service'
import type { Servers } from './context.ts'
import type { HttpServer } from './loading.ts'

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
  const folder = await mkdtemp(join(tmpdir(), 'shop-bench-'))
  const cpuSocket = join(folder, 'cpu')
  const service = await startService({
    app: 'catalog',
    env: {
      DATABASE_URL: databaseUrl,
      REDIS_CACHE_URL: redisUrl,
      REDIS_STATE_URL: stateUrl,
      IDENTITY_PUBLIC_KEY: identity.publicKey,
      LOG_LEVEL: logLevel,
      BENCH_COPIES: String(withCopies),
      BENCH_CPU_SOCKET: cpuSocket,
    },
    // Ours too, for a profile of this process.
    nodeArgs: [...process.execArgv, '--import', new URL('./catalog-hook.ts', import.meta.url).href],
  })
  return {
    port: service.port,
    async cpuUs() {
      const { user, system } = (await json(connect(cpuSocket))) as NodeJS.CpuUsage
      return user + system
    },
    async close() {
      await service.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
