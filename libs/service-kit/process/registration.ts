/**
 * How a process is found: it registers once it listens, and leaves before it closes. A process whose registry cannot be reached still
 * starts and serves: the registration goes on trying by itself. A process whose heartbeats failed for a whole lifetime reports itself
 * degraded until they work again, and not unready: callers ask it and go on, only new ones may not find it. A process whose name
 * another process took over stops.
 */
import { createRegistration, type Instance, type Registry } from '@shop/redis-kit/discovery'
import { within } from '@shop/redis-kit/flow/deadline'
import type { Log } from '../telemetry/log.ts'
import type { Health } from './health.ts'
import type { Watch } from './loop-health.ts'

export interface RegisterOptions {
  registry: Registry | undefined
  instance: Instance
  health: Health
  /** Shows that heartbeats fail, as it does with loops. @default heartbeats are not watched */
  watch?: Watch
  log: Log
  /** Asked before each heartbeat. */
  isHealthy(): boolean
  /** Another process has our id and keeps it. */
  onSuperseded(): void
}

/** Longest that start-up or stopping waits for the registry. */
const patienceMs = 1_000

/** Rejects when registering can never succeed (a wrong record, missing rights), not when the registry is away. */
export async function register(options: RegisterOptions): Promise<{ leave(): Promise<void> }> {
  const { registry, instance, health, watch, log, isHealthy, onSuperseded } = options
  if (registry === undefined) return { leave: () => Promise.resolve() }
  const registration = createRegistration(registry, instance, {
    healthy: isHealthy,
    pulse: watch?.({ name: 'heartbeat' }),
    onError: (error) => log.warn({ err: error }, 'heartbeat failed'),
    onSelfFence: (reason) => {
      log.error({ reason }, 'heartbeats rejected')
      if (reason === 'superseded') onSuperseded()
    },
  })
  health.add({ name: 'registry', required: false, check: () => notFenced(registration.isFenced()) })
  const started = await inTime(registration.start())
  if (!started) log.warn('registration postponed: the registry does not answer')
  return { leave }

  async function leave() {
    const left = await inTime(registration.leave())
    if (!left) log.warn('deregistration failed: the registry does not answer')
  }
}

async function notFenced(fenced: boolean): Promise<void> {
  if (fenced) throw Object.assign(new Error('fenced'), { code: 'FENCED' })
}

/** Whether the work was done in time. Rejects when it does. */
function inTime(work: Promise<void>): Promise<boolean> {
  return within(
    work.then(() => true),
    patienceMs,
    () => false,
  )
}
