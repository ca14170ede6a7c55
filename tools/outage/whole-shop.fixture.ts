/** All services as processes, on servers of their own that may be broken, and customers. */
import { randomUUID } from 'node:crypto'
import { type DatabaseName, databaseNames, type ServiceName } from '@shop/contracts/services'
import type { KeyRole } from '@shop/redis-kit/keys'
import { generateIdentityKeys } from '@shop/service-kit/identity'
import { serviceEnvironment } from '@shop/service-kit/process/environment'
import { createBrowser } from '@shop/test-kit/browser'
import { createDatabase } from '@shop/test-kit/postgres-database'
import { startPostgres } from '@shop/test-kit/postgres-server'
import { startRedis } from '@shop/test-kit/redis-server'
import { type RunningService, startService } from '@shop/test-kit/service'
import { migrate } from '../migrate.ts'
import { generateProducts } from '../seed/catalogue.ts'
import { seed } from '../seed.ts'

const instanceNames = ['catalog-1', 'catalog-2', 'user-1', 'user-2', 'order-1', 'order-2', 'gateway-1'] as const
type InstanceName = (typeof instanceNames)[number]

export interface Answer {
  status: number
  /** Of a problem. */
  code?: string
  body: unknown
}

export async function startWholeShop({ productCount = 50 } = {}) {
  const undo: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const step of undo.reverse()) await step()
  }
  try {
    const [postgres, state, cache] = await Promise.all([
      startPostgres(),
      startRedis({ config: { appendonly: 'yes', appendfsync: 'everysec', 'maxmemory-policy': 'noeviction' } }),
      startRedis({ config: { 'maxmemory-policy': 'allkeys-lfu' } }),
    ])
    undo.push(postgres.stop, state.stop, cache.stop)
    const databases = await createDatabases(postgres.url)
    await seed({ catalogUrl: databases.catalog, productCount })
    const keys = generateIdentityKeys()
    const source = {
      redisUrl: (role: KeyRole) => ({ state, cache })[role].url,
      databaseUrl: (name: string) => databases[name as DatabaseName],
      identity: { privateKey: keys.IDENTITY_PRIVATE_KEY, publicKey: keys.IDENTITY_PUBLIC_KEY },
    }
    const environment = (app: ServiceName) => ({
      ...serviceEnvironment(app, source),
      LOG_LEVEL: 'warn',
      PORT: '0',
      INTERNAL_PORT: '0',
      ...(app === 'gateway' && { RATE_LIMIT_FILE: 'apps/gateway/limits/ample.yaml' }),
    })
    const instances = new Map<InstanceName, RunningService>()
    await Promise.all(instanceNames.map(startInstance))
    undo.push(() => Promise.all([...instances.values()].map((instance) => instance.stop())))
    const skus = Array.from(generateProducts(productCount), ({ sku }) => sku)
    return { postgres, state, cache, skus, customer, attemptCounts, restart, stopInstance, stop }

    async function startInstance(name: InstanceName) {
      const app = name.slice(0, -2) as ServiceName
      instances.set(name, await startService({ app, env: { ...environment(app), INSTANCE_ID: name } }))
    }

    /** Another process of the same name, at another port. */
    async function restart(name: InstanceName) {
      await instances.get(name)?.stop()
      await startInstance(name)
    }

    /** As a rolling restart does: with a goodbye. */
    async function stopInstance(name: InstanceName) {
      await instances.get(name)?.stop()
      instances.delete(name)
    }

    function customer() {
      return createCustomer(() => instances.get('gateway-1')?.url as string)
    }

    /** Requests that have reached each service so far. */
    async function attemptCounts() {
      const counts = { catalog: 0, user: 0, order: 0 }
      for (const [name, { internalPort }] of instances) {
        const app = name.slice(0, -2)
        if (app in counts) counts[app as keyof typeof counts] += await requestCount(internalPort as number)
      }
      return counts
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function createDatabases(serverUrl: string) {
  const entries = await Promise.all(
    databaseNames.map(async (service) => {
      const databaseUrl = await createDatabase(serverUrl, service, { name: service })
      await migrate({ service, databaseUrl })
      return [service, databaseUrl] as const
    }),
  )
  return Object.fromEntries(entries) as Record<DatabaseName, string>
}

/** Of the public API: neither health nor what services ask each other. */
async function requestCount(internalPort: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${internalPort}/metrics`)).text()
  const lines = page.matchAll(/^http_request_duration_seconds_count\{[^}]*route="(\/api\/[^"]*)"[^}]*\} (\d+)$/gm)
  const fromOutside = [...lines].filter(([, route]) => route !== '/api/products/quote')
  return fromOutside.reduce((sum, [, , count]) => sum + Number(count), 0)
}

export type Customer = ReturnType<typeof createCustomer>

function createCustomer(url: () => string) {
  const browser = createBrowser(url, { timeoutMs: 15_000 })
  return { ask, signUp }

  /** Status 0: no answer within 15 seconds, or a connection that broke. */
  async function ask(method: string, path: string, body?: object, key?: string): Promise<Answer> {
    try {
      const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
      const answer = await browser.send<{ code?: string } | undefined>(method, path, { body, headers })
      return { status: answer.status, code: answer.body?.code, body: answer.body }
    } catch (error) {
      return { status: 0, code: (error as Error).message, body: undefined }
    }
  }

  async function signUp() {
    const credentials = { email: `${randomUUID()}@example.com`, password: randomUUID() }
    await succeed('/api/users', { ...credentials, name: 'Test Customer' })
    await succeed('/api/sessions', credentials)
  }

  async function succeed(path: string, body: object) {
    const { status, code } = await ask('POST', path, body)
    if (status !== 201) throw new Error(`${path} answered ${status} ${code}`)
  }
}
