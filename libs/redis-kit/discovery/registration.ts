/**
 * One instance's side of the registry: beats until it leaves.
 *
 * A beat is dropped, never queued: when Redis is away, when the one before is still on its way, or when the event loop lags.
 * Callers then ask the instance itself. While `healthy` says no, the instance leaves.
 */
import { isRedisOutage } from '../errors.ts'
import { atMost } from '../flow/jitter.ts'
import type { Pulse } from '../flow/pulse.ts'
import { checkNumbers } from '../number-options.ts'
import type { Instance } from './instance.ts'
import type { Registry } from './registry.ts'

/**
 * superseded: another process holds our id; it will not be given back, so stop.
 * silent: no beat was accepted for a whole TTL, so callers may not know this instance. It ends with the next beat that is.
 */
export type FenceReason = 'superseded' | 'silent'

export interface RegistrationOptions {
  /** Called once each time the instance must assume that callers may not know it. */
  onSelfFence?: (reason: FenceReason) => void
  /** May this instance be called? It leaves at the first no, and registers again at the first yes. @default always */
  healthy?: () => boolean
  /** A beat that fires later than this was held up by a busy event loop, and is dropped. @default 1000 */
  maxLagMs?: number
  /** Hears why a beat failed when it is not an outage, as missing rights. @default a warning of the process */
  onError?: (error: unknown) => void
  /** Told after each beat whether it was accepted; an outage is a failure. @default none */
  pulse?: Pulse
  /** @default Math.random */
  random?: () => number
  /** Monotonic clock, ms. @default performance.now */
  now?: () => number
}

export interface Registration {
  /**
   * Beats from now on. Resolves after the first attempt, successful or not: a service starts without its registry too.
   * Rejects when it can never succeed: a record that is none, missing rights.
   */
  start(): Promise<void>
  /** Stops beating and says goodbye. Never throws for an outage: the entry then runs out by itself. */
  leave(): Promise<void>
  /** Should this instance do without work that only a registered one may do? See FenceReason. */
  isFenced(): boolean
}

export function createRegistration(
  registry: Registry,
  instance: Instance,
  {
    onSelfFence,
    healthy = () => true,
    maxLagMs = 1_000,
    onError = (error) => process.emitWarning(error instanceof Error ? error : String(error)),
    pulse,
    random = Math.random,
    now = () => performance.now(),
  }: RegistrationOptions = {},
): Registration {
  checkNumbers('registration', { maxLagMs }, { maxLagMs: { min: 0 } })
  const { ttlMs } = registry
  let incarnation = 0
  let isListed = false
  let heardAtMs = now()
  let fence: FenceReason | undefined
  let inFlight: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let started: Promise<void> | undefined
  return { start, leave, isFenced }

  function start() {
    started ??= begin() // twice would beat twice
    return started
  }

  async function begin() {
    heardAtMs = now()
    schedule()
    if (healthy()) await once(beat)
  }

  async function leave() {
    clearTimeout(timer)
    await inFlight?.catch(onError) // a beat still on its way would bring us back
    if (incarnation === 0 || fence === 'superseded') return
    await withdraw()
  }

  function isFenced() {
    return fence === 'superseded' || now() - heardAtMs > ttlMs
  }

  function schedule() {
    const nextMs = atMost(ttlMs / 3, 0.3, random) // two beats may be lost before the TTL is over
    timer = setTimeout(tick, nextMs, now() + nextMs).unref()
  }

  function tick(dueMs: number) {
    schedule()
    fenceIfSilent()
    if (inFlight || now() - dueMs > maxLagMs) return
    if (healthy()) once(beat).catch(onError)
    else if (isListed) once(withdraw).catch(onError)
  }

  function once(send: () => Promise<void>) {
    inFlight = send().finally(() => {
      inFlight = undefined
    })
    return inFlight
  }

  /** While that is not possible, each tick tries it again. */
  async function withdraw() {
    try {
      await registry.leave(instance.service, instance.id, incarnation)
      isListed = false
    } catch (error) {
      if (!isRedisOutage(error)) throw error
    }
  }

  async function beat() {
    const sentAtMs = now()
    try {
      const answer = await registry.beat(instance.service, instance, incarnation)
      if (answer.status === 'superseded') return supersede()
      incarnation = answer.incarnation
      isListed = true
      heardAtMs = sentAtMs // the entry lives at least until then + ttlMs
      fence = undefined
      pulse?.ok()
    } catch (error) {
      pulse?.failed(error)
      if (!isRedisOutage(error)) throw error
    }
  }

  function fenceIfSilent() {
    if (fence || now() - heardAtMs <= ttlMs) return
    fence = 'silent'
    onSelfFence?.('silent')
  }

  function supersede() {
    clearTimeout(timer)
    fence = 'superseded'
    onSelfFence?.('superseded')
  }
}
