/** The cache's Redis is killed under load and comes back: what the readers notice, and what Postgres and the catalog's memory do. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as elapse } from 'node:timers/promises'
import { openInspector } from './heap.ts'
import type { LoadOptions, Moment } from './load.ts'
import { loadTimeMs, readLoadTimes } from './loads.ts'
import { watchSessions } from './sessions.ts'
import { startCatalog } from './shop.ts'

export interface OutageOptions {
  ratePerSecond: number
  outageMs: number
  productCount: number
  /** DATABASE_POOL_MAX of the catalog: what Postgres may see of it. */
  poolMax: number
  /** Load before the outage. */
  warmUpMs: number
  /** Longest wait for hits after the outage. */
  patienceMs: number
  report(line: string): void
}

/** Readers of a time: how many there were, and what they got. */
export interface Readers {
  readCount: number
  failedCount: number
  failures: string[]
  p50Ms: number
  p99Ms: number
  maxMs: number
  /** Share of hits, in memory or Redis. */
  hitShare: number
  /** 99 % of the loads from Postgres took no longer (a bound of the histogram). */
  loadP99Ms: number
}

export interface OutageFigures {
  before: Readers
  during: Readers
  after: Readers
  /** From the moment Redis answered again to nine hits in ten; undefined if that did not happen. */
  normalAfterMs: number | undefined
  heapMb: { before: number; during: number; after: number }
  /** The most that Postgres saw of the catalog. */
  sessions: { connectedCount: number; activeCount: number; lookCount: number }
  load: number
}

const normalShare = 0.9
const settleMs = 2_000

export async function observeOutage(options: OutageOptions): Promise<OutageFigures> {
  const { ratePerSecond, outageMs, warmUpMs, patienceMs, poolMax, report } = options
  report(`Starting a catalog with ${options.productCount} products and ${poolMax} connections to Postgres …`)
  const shop = await startCatalog(options)
  const { catalog, cache } = shop
  const inspector = await openInspector(catalog.log())
  const loads = () => readLoadTimes(catalog.internalPort as number)
  const readers = await startReaders({ ...shop, port: catalog.port, ratePerSecond })
  const sessions = await watchSessions(shop.databaseUrl, catalog.instanceId)
  try {
    report(`${ratePerSecond} reads/s …`)
    await elapse(warmUpMs)
    const [warmLoads, before, warmHeap] = [await loads(), readers.take(), await collect()]

    report(`Redis is killed for ${outageMs / 1_000} s …`)
    await cache.kill('SIGKILL')
    await elapse(outageMs)
    const [outageLoads, during, outageHeap] = [await loads(), readers.take(), await collect()]

    report('Redis is started again …')
    await cache.restart()
    const normalAfterMs = await readers.untilNormal(patienceMs)
    await elapse(settleMs)
    const [lastLoads, after, lastHeap] = [await loads(), readers.take(), await collect()]
    return {
      before: summary(before, loadTimeMs(new Map(), warmLoads, 0.99)),
      during: summary(during, loadTimeMs(warmLoads, outageLoads, 0.99)),
      after: summary(after, loadTimeMs(outageLoads, lastLoads, 0.99)),
      normalAfterMs,
      heapMb: { before: warmHeap, during: outageHeap, after: lastHeap },
      sessions: sessions.most(),
      load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    }
  } finally {
    inspector.close()
    await Promise.all([readers.stop(), sessions.stop()])
    await shop.stop()
  }

  /** In MB. Nothing is answered while everything is collected, which is our doing: who came then, and shortly after, does not count. */
  async function collect() {
    const bytes = await inspector.heapBytes()
    await elapse(settleMs)
    readers.take()
    return Math.round(bytes / 1e5) / 10
  }
}

async function startReaders({ port, ratePerSecond, skus, identityPrivateKey }: LoadOptions) {
  // In a session of its own: some systems share the processor out by session, and a reader must not wait for the one who measures.
  const child = fork(join(import.meta.dirname, 'load.ts'), { stdio: 'inherit', detached: true })
  let moments: Moment[] = []
  child.on('message', (moment: Moment) => moments.push(moment))
  child.send({ port, ratePerSecond, skus, identityPrivateKey } satisfies LoadOptions)
  const nextMoment = async () => (await once(child, 'message'))[0] as Moment
  await nextMoment()
  return { take, untilNormal, stop }

  /** What there was since the last time. */
  function take(): Moment[] {
    const taken = moments
    moments = []
    return taken
  }

  async function untilNormal(patienceMs: number): Promise<number | undefined> {
    const startedAtMs = Date.now()
    while (Date.now() - startedAtMs < patienceMs) {
      const moment = await nextMoment()
      if (moment.atMs > startedAtMs && hitShareOf([moment]) >= normalShare) return moment.atMs - startedAtMs
    }
    return undefined
  }

  async function stop() {
    const gone = once(child, 'exit')
    child.kill()
    await gone
  }
}

function summary(moments: Moment[], loadP99Ms: number): Readers {
  const latenciesMs = moments.flatMap((moment) => moment.latenciesMs).sort((a, b) => a - b)
  const at = (share: number) => Math.round((latenciesMs[Math.floor((latenciesMs.length - 1) * share)] ?? 0) * 10) / 10
  return {
    readCount: latenciesMs.length,
    failedCount: moments.reduce((sum, { failedCount }) => sum + failedCount, 0),
    failures: moments.flatMap(({ failures }) => failures).slice(0, 5),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    hitShare: Math.round(hitShareOf(moments) * 1_000) / 1_000,
    loadP99Ms,
  }
}

function hitShareOf(moments: Moment[]): number {
  const count = (isHit: (source: string) => boolean) =>
    moments
      .flatMap(({ sources }) => Object.entries(sources))
      .reduce((sum, [source, some]) => (isHit(source) ? sum + some : sum), 0)
  const total = count(() => true)
  return total === 0 ? 0 : count((source) => source.startsWith('hit') || source === 'stale') / total
}
