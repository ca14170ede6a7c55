/** One run: a shop of its own, shoppers, faults from the seed, and the books at the end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Check, compareBooks } from './books.ts'
import { begin } from './incident.ts'
import { type Entry, type RouteFigures, routeFigures } from './ledger.ts'
import { type Incident, planIncidents } from './plan.ts'
import { settle } from './settling.ts'
import { type ShopUnderTest, startShopUnderTest } from './shop.ts'
import { goShopping, type Journal } from './shopper.ts'
import { readTables, stockOf } from './tables.ts'

export interface ChaosOptions {
  seed: number
  totalMs: number
  shopperCount: number
  /** Keep data and logs of the shop, also when all was well. */
  keepData: boolean
  report: (line: string) => void
  /** Ends the run early: what was begun is brought to its end, and the books are compared. */
  signal: AbortSignal
}

export interface ChaosFigures {
  seed: number
  /** As they happened, on the clock of this machine. */
  incidents: Incident[]
  /** When the run began, on the same clock. */
  startedMs: number
  routes: RouteFigures[]
  endedByThemselves: string[]
  checks: Check[]
  /** From the last shopper's leaving until nothing was open; undefined when something still was at the deadline. */
  settledMs: number | undefined
  /** Where data and logs are; undefined when they are gone. */
  dataDir?: string
}

/** Of a product that shoppers buy: one that is sold out would keep the whole cart from being ordered. */
const plentyCount = 50
const settleTimeoutMs = 120_000

export async function runChaos(options: ChaosOptions): Promise<ChaosFigures> {
  const shop = await startShopUnderTest(options.report)
  let isWell = false
  try {
    const figures = await shopUnderFire(shop, options)
    isWell = isUnbroken(figures) && !options.keepData
    return { ...figures, ...(!isWell && { dataDir: shop.dataDir }) }
  } finally {
    await shop.stop({ keepData: !isWell })
  }
}

/**
 * The books balance, no process ended by itself, and no answer was a 500, which is a fault that the shop did not foresee. Other failed
 * requests are figures: no promise is broken by them.
 */
export function isUnbroken({ checks, endedByThemselves, settledMs, routes }: ChaosFigures): boolean {
  const isBalanced = checks.every(({ lost, doubled, wrong }) => lost.length + doubled.length + wrong.length === 0)
  const isForeseen = routes.every(({ outcomes }) => outcomes['500'] === undefined)
  return isBalanced && isForeseen && endedByThemselves.length === 0 && settledMs !== undefined
}

async function shopUnderFire(shop: ShopUnderTest, options: ChaosOptions): Promise<ChaosFigures> {
  const { seed, totalMs, shopperCount, report, signal } = options
  const stockBefore = await stockOf(shop.databaseUrls.catalog)
  const entries: Entry[] = []
  const startedMs = Date.now()
  const closing = new AbortController()
  const shoppers = Array.from({ length: shopperCount }, (_, index) =>
    goShopping({
      url: shop.url,
      seed: seed + index,
      skus: [...stockBefore].filter(([, count]) => count >= plentyCount).map(([sku]) => sku),
      record: (entry) => void entries.push(entry),
      signal: closing.signal,
    }),
  )
  const shopping = Promise.all(shoppers)
  shopping.catch(() => closing.abort()) // and the faults end too
  const incidents = await doHarm(shop, planIncidents(seed, totalMs), totalMs, {
    report,
    signal: AbortSignal.any([signal, closing.signal]),
  }).finally(() => closing.abort()) // also after a failure: shoppers that go on would keep the process alive
  const journals: Journal[] = await shopping
  report('Shoppers stopped. Waiting for all orders, refunds and events to settle …')
  const { streams, tookMs } = await settle({
    databaseUrls: shop.databaseUrls,
    redis: shop.redisOf('redis-state'),
    timeoutMs: settleTimeoutMs,
  })
  const stateKillsMs = incidents
    .filter(({ target, fault }) => target === 'redis-state' && fault === 'kill')
    .map(({ startMs }) => startMs)
  return {
    seed,
    incidents,
    startedMs,
    routes: routeFigures(entries, incidents),
    endedByThemselves: shop.endedByThemselves(),
    checks: compareBooks({ journals, stockBefore, stateKillsMs, streams }, await readTables(shop.databaseUrls)),
    settledMs: tookMs,
  }
}

interface Harm {
  report: (line: string) => void
  signal: AbortSignal
}

/**
 * Resolves with the incidents as they happened, every cause ended, when the time is over or the signal is aborted. A fault that cannot
 * be injected ends the run: the other causes are ended first, so that no part stays frozen.
 */
async function doHarm(
  shop: ShopUnderTest,
  plan: readonly Incident[],
  totalMs: number,
  { report, signal: stopped }: Harm,
): Promise<Incident[]> {
  const failed = new AbortController()
  const signal = AbortSignal.any([stopped, failed.signal])
  const startedMs = Date.now()
  const until = (atMs: number) =>
    sleep(Math.max(0, startedMs + atMs - Date.now()), undefined, { signal }).catch(() => {})
  const happened = await Promise.allSettled(plan.map((planned) => happen(planned).catch(fail)))
  const [failure] = happened.filter((one) => one.status === 'rejected')
  if (failure) throw failure.reason
  await until(totalMs)
  return happened.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value] : []))

  function fail(error: unknown): never {
    failed.abort()
    throw error
  }

  async function happen(planned: Incident): Promise<Incident | undefined> {
    await until(planned.startMs)
    if (signal.aborted) return undefined
    const startMs = Date.now()
    report(describe(planned, totalMs))
    const heal = await begin(planned, shop)
    await until(planned.startMs + planned.durationMs)
    await heal()
    return { ...planned, startMs, durationMs: planned.durationMs === 0 ? 0 : Date.now() - startMs }
  }
}

function describe({ startMs, durationMs, fault, target }: Incident, totalMs: number): string {
  const seconds = (ms: number) => (ms / 1_000).toFixed(0)
  const length = durationMs > 0 ? ` for ${(durationMs / 1_000).toFixed(1)} s` : ''
  return `  ${seconds(startMs).padStart(4)} of ${seconds(totalMs)} s  ${fault} ${target}${length}`
}
