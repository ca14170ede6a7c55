/**
 * How each service describes itself: fetched from one of its instances, kept for a while, and kept longer while the service does not
 * answer. A caller waits for such a service for `deadlineMs` at most.
 */
import type { ServiceClient } from '@shop/service-kit/call/client'
import type { OpenApi } from '@shop/service-kit/http/openapi'
import type { Log } from '@shop/service-kit/telemetry/log'

export interface DescriptionsOptions {
  client: ServiceClient
  services: readonly string[]
  log: Log
  /** A description is asked for again after this: an upgrade changes it. @default 30_000 */
  maxAgeMs?: number
  /** @default 2_000 */
  deadlineMs?: number
}

/** By service; without those that have never answered. */
export type Descriptions = ReadonlyMap<string, OpenApi>

export function createDescriptions({
  client,
  services,
  log,
  maxAgeMs = 30_000,
  deadlineMs = 2_000,
}: DescriptionsOptions) {
  let known: Descriptions = new Map()
  let refreshedAtMs = Number.NEGATIVE_INFINITY
  let refreshing: Promise<void> | undefined
  return { current }

  /** The same map until something was asked for again. */
  async function current(): Promise<Descriptions> {
    const isFresh = performance.now() - refreshedAtMs < maxAgeMs && known.size === services.length
    if (!isFresh) {
      refreshing ??= refresh().finally(() => {
        refreshing = undefined
      })
      await refreshing
    }
    return known
  }

  async function refresh() {
    const answers = await Promise.all(services.map(async (service) => [service, await ask(service)] as const))
    const described = answers.map(([service, answer]) => [service, answer ?? known.get(service)] as const)
    known = new Map(described.filter((entry): entry is [string, OpenApi] => entry[1] !== undefined))
    refreshedAtMs = performance.now()
  }

  async function ask(service: string): Promise<OpenApi | undefined> {
    try {
      const { status, body } = await client.request({ service, path: '/docs/json', deadlineMs })
      const description: unknown = JSON.parse(body.toString())
      if (status === 200 && isOpenApi(description)) return description
      log.warn({ service, status }, 'API description refused')
    } catch (error) {
      log.warn({ service, err: error }, 'API description missing')
    }
    return undefined
  }
}

function isOpenApi(value: unknown): value is OpenApi {
  const { openapi, paths } = (value ?? {}) as Partial<OpenApi>
  return typeof openapi === 'string' && openapi.startsWith('3.1') && typeof paths === 'object' && paths !== null
}
