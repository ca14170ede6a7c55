/**
 * The callers' side of the registry: which instances are alive, answered from memory. Hints keep it current within milliseconds,
 * a listing every few seconds (and after every gap) keeps it true. Without Redis it answers what it last knew. An instance that the
 * registry stops listing is asked itself, see snapshot.ts.
 */
import type { Subscriber } from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { fullJitterMs } from '../flow/backoff.ts'
import { atMost } from '../flow/jitter.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { parseHint } from './hint.ts'
import { createInquiry, type InquiryOptions } from './inquiry.ts'
import type { Instance } from './instance.ts'
import type { Registry } from './registry.ts'
import { createSnapshot, type Snapshot } from './snapshot.ts'

export interface DirectoryOptions {
  /** The services it knows; asking for another is a mistake and throws. */
  services: readonly string[]
  /**
   * Is this instance there, and is it the one that the record names? Asked while the registry does not list it, again and again.
   * false: certainly not (refused, another process, about to stop). A rejection, or no answer within a second: unclear.
   */
  answers: InquiryOptions['answers']
  /**
   * The longest time between two looks at the registry; each is at a random moment in the second half of it. Without changes a look
   * costs O(log n). A killed instance that no other's beat removes is asked after the registry's ttlMs + this. @default 4000
   */
  resyncMs?: number
  /** Hears why a look failed when it is not an outage, as missing rights. @default a warning of the process */
  onError?: (error: unknown) => void
  /** @default Math.random */
  random?: () => number
  /** Monotonic clock, ms. @default performance.now */
  now?: () => number
}

export interface Directory {
  /**
   * Resolves when each service was looked up once or could not be (a service starts without its registry too), and what is overdue
   * was asked once.
   * Rejects when hints are refused for lack of rights.
   */
  start(): Promise<void>
  /** The instances to choose from: no waiting, no allocation, the same frozen array until something changes. */
  instances(service: string): readonly Instance[]
  /** Calls back with each change. Returns how to stop that. */
  onChange(listener: ChangeListener): () => void
  /** Is any answer older or larger than the registry's, because that is out of reach or has lost instances? */
  isDegraded(): boolean
  /** Stops looking. The subscriber stays its owner's. */
  close(): Promise<void>
}

type ChangeListener = (service: string, instances: readonly Instance[]) => void

type Settings = Required<Omit<DirectoryOptions, 'services'>>

/** No cap of its own: the regular look is never later. */
const RETRY = { baseMs: 400, capMs: Number.POSITIVE_INFINITY }
const MAX_ASK_EVERY_MS = 1_000

export function createDirectory(
  registry: Registry,
  subscriber: Subscriber,
  {
    services,
    answers,
    resyncMs = 4_000,
    onError = (error) => process.emitWarning(error instanceof Error ? error : String(error)),
    random = Math.random,
    now = () => performance.now(),
  }: DirectoryOptions,
): Directory {
  checkNumbers('directory', { resyncMs }, { resyncMs: { min: 1, max: MAX_TIMER_MS } })
  const settings: Settings = { answers, resyncMs, onError, random, now }
  const listeners = new Set<ChangeListener>()
  const views = new Map(services.map((service) => [service, watch(registry, service, { ...settings, onChange })]))
  const stops: (() => unknown)[] = []
  let started: Promise<unknown> | undefined
  return { start, instances, onChange: listen, isDegraded, close }

  async function start() {
    started ??= begin() // twice would hear everything twice
    await started
  }

  function begin() {
    stops.push(subscriber.onGap(() => each((view) => view.markUncertain())))
    return each(async (view, service) => {
      // Listening first: a change between the listing and the subscription would be lost.
      stops.push(await subscriber.subscribe(registry.channel(service), view.onHint))
      await view.refresh()
      await view.settle()
    })
  }

  function instances(service: string) {
    const view = views.get(service)
    if (!view) throw new TypeError(`the directory does not watch ${service}: add it to the services`)
    return view.snapshot.instances()
  }

  function listen(listener: ChangeListener) {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }

  function isDegraded() {
    return [...views.values()].some((view) => view.isDegraded())
  }

  async function close() {
    listeners.clear()
    await each((view) => view.stop())
    await Promise.allSettled(stops.splice(0).map((stop) => stop()))
  }

  function onChange(service: string, changed: readonly Instance[]) {
    for (const listener of listeners) listener(service, changed)
  }

  function each(act: (view: View, service: string) => unknown) {
    return Promise.all([...views].map(([service, view]) => act(view, service)))
  }
}

interface View {
  snapshot: Snapshot
  /** Looks now. Never rejects. One look at a time: a second caller gets one that begins after the first. */
  refresh(): Promise<void>
  /** Resolves when the instances that are not listed were asked. */
  settle(): Promise<void>
  onHint(message: string): void
  /** Hints may be missing: look soon. */
  markUncertain(): void
  isDegraded(): boolean
  stop(): void
}

/** Keeps the snapshot of one service: a timer for the next look, and at most one look under way. */
function watch(registry: Registry, service: string, settings: Settings & { onChange: ChangeListener }): View {
  const { answers, resyncMs, random, now, onError } = settings
  const askEveryMs = Math.min(MAX_ASK_EVERY_MS, registry.ttlMs / 3)
  const snapshot = createSnapshot({
    askEveryMs,
    forgetAfterMs: 10 * registry.ttlMs,
    onChange: (instances) => settings.onChange(service, instances),
    now,
  })
  const inquiry = createInquiry(snapshot, { answers, everyMs: askEveryMs, random })
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined
  let again = false
  let failureCount = 0
  let stopped = false
  return { snapshot, refresh, settle: inquiry.run, onHint, markUncertain, isDegraded, stop }

  function isDegraded() {
    return failureCount > 0 || snapshot.keepsUnlisted()
  }

  function refresh(): Promise<void> {
    if (looking) again = true
    looking ??= lookUntilCurrent().finally(() => {
      looking = undefined
      if (again) lookSoon()
      else schedule(nextLookMs())
    })
    return looking
  }

  async function lookUntilCurrent() {
    for (let round = 0; round < 5; round++) {
      again = false
      if ((await lookOnce()) === 'outdated') again = true
      if (!again) return
    }
  }

  async function lookOnce() {
    snapshot.expectListing()
    const rev = snapshot.rev()
    try {
      const listing = rev === undefined ? await registry.list(service) : await registry.listSince(service, rev)
      failureCount = 0
      const outcome = listing && snapshot.applyListing(listing)
      askUnlisted()
      return outcome
    } catch (error) {
      failureCount++
      snapshot.markUncertain()
      if (!isRedisOutage(error)) onError(error)
    }
  }

  /** Never rejects, and nothing waits for it. */
  function askUnlisted() {
    if (!stopped && snapshot.hasUnlisted()) void inquiry.run()
  }

  function onHint(message: string) {
    const hint = parseHint(message)
    if (!hint || snapshot.applyHint(hint) === 'gap') lookSoon()
    askUnlisted()
  }

  function markUncertain() {
    snapshot.markUncertain()
    lookSoon()
  }

  /** Not at once: every other process has seen the same gap. */
  function lookSoon() {
    if (looking) again = true
    else schedule(random() * Math.min(250, resyncMs / 4))
  }

  function nextLookMs() {
    const regularMs = atMost(resyncMs, 0.5, random)
    return failureCount === 0 ? regularMs : Math.min(regularMs, fullJitterMs(failureCount, { ...RETRY, random }))
  }

  function schedule(inMs: number) {
    if (stopped) return
    clearTimeout(timer)
    timer = setTimeout(refresh, inMs).unref()
  }

  function stop() {
    stopped = true
    clearTimeout(timer)
    inquiry.stop()
  }
}
