/** A limit that is changed while four gateways are under load: in force everywhere within a second, and no request fails. */
import { randomUUID } from 'node:crypto'
import type { LimitInForce } from '@shop/contracts/limits'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { startGatewayProcess } from '../gateway.fixture.ts'

/** Rates of the changes, one after the other: above what the load asks for. */
const rates = [5_000, 4_000, 2_500, 2_000, 1_250, 1_000, 800]
const loopsPerGateway = 3
/** Between two requests of a loop: 4 gateways with 3 loops each make some hundred requests per second, for as long as the test takes. */
const pauseMs = 20

const first = await startGatewayProcess({ RATE_LIMIT_FILE: 'apps/gateway/limits/ample.yaml', LOG_LEVEL: 'warn' })
afterAll(first.stop)
const others = await Promise.all([1, 2, 3].map(() => first.addGateway()))
const urls = [first, ...others].map(({ url }) => url)
const session = await first.sessions.create({ userId: randomUUID(), fields: { role: 'admin' } })
const cookie = `shop_session=${session.id}`

interface Seen {
  status: number
  /** The quota of the address, as announced. */
  quota: number
  atMs: number
}
const newest = new Map<string, Seen>()
/** By instance and quota: when it was first announced there. */
const firstSeenMs = new Map<string, number>()
const failures: string[] = []
let requestCount = 0
const expectedStatuses = new Set([200])

const stopping = new AbortController()
let load: Promise<unknown>
beforeAll(() => {
  load = Promise.all(urls.flatMap((url) => Array.from({ length: loopsPerGateway }, () => ask(url))))
})
afterAll(async () => {
  stopping.abort()
  await load
})

async function ask(url: string) {
  while (!stopping.signal.aborted) {
    try {
      const response = await fetch(`${url}/api/products`)
      await response.arrayBuffer()
      see(url, response)
    } catch (error) {
      failures.push(String(error))
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}

function see(url: string, { status, headers }: Response) {
  requestCount += 1
  const quota = Number(/"address";q=(\d+)/.exec(headers.get('ratelimit-policy') ?? '')?.[1])
  const seen = { status, quota, atMs: performance.now() }
  newest.set(url, seen)
  const key = `${url} ${quota}`
  if (!firstSeenMs.has(key)) firstSeenMs.set(key, seen.atMs)
  if (!expectedStatuses.has(status)) failures.push(`${status} from ${url}`)
}

let revision = 'file'
async function change(limit: { count: number; periodMs: number }, burst: number) {
  const response = await fetch(`${urls[0]}/api/console/limits/address`, {
    method: 'PUT',
    headers: { cookie, 'content-type': 'application/json' },
    body: JSON.stringify({ limit, burst, revision }),
  })
  const body = (await response.json()) as LimitInForce
  expect([response.status, body.limit]).toEqual([200, limit])
  revision = body.revision
}

/** Until all four announce it: how long after the request for the change the last one did, ms. */
async function delayOf(count: number): Promise<number> {
  const askedMs = performance.now()
  await change({ count, periodMs: 1_000 }, 100_000)
  const at = () => urls.map((url) => firstSeenMs.get(`${url} ${count}`))
  await vi.waitFor(() => expect(at()).not.toContain(undefined), { timeout: 20_000, interval: 5 })
  return Math.max(...at().map(Number)) - askedMs
}

it('holds in all four within a second, and no request fails meanwhile', { timeout: 120_000 }, async () => {
  await vi.waitFor(() => expect(newest.size).toBe(4), { timeout: 20_000 })
  const delays: number[] = []
  for (const rate of rates) delays.push(await delayOf(rate))
  const [median = Number.NaN] = delays.toSorted((a, b) => a - b).slice((rates.length - 1) / 2)
  // One that missed its hint would need the next read, two to four seconds later.
  expect({ median, delays: delays.map(Math.round), isInTime: median < 1_000 }).toMatchObject({ isInTime: true })
  expect(failures).toEqual([])
  expect(requestCount).toBeGreaterThanOrEqual(rates.length * urls.length)
})

it('is enforced by all four once it is small', { timeout: 60_000 }, async () => {
  expectedStatuses.add(429)
  await change({ count: 20, periodMs: 60_000 }, 20)
  await vi.waitFor(
    () =>
      expect(urls.map((url) => newest.get(url))).toEqual(
        urls.map(() => expect.objectContaining({ status: 429, quota: 20 })),
      ),
    { timeout: 20_000, interval: 20 },
  )
  expect(failures).toEqual([])
})
