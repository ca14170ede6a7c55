/**
 * Keeps the overrides of this instance equal to those in Redis. A hint over pub/sub says that there is a change; they are also read after a
 * gap of the subscription, and every few seconds. Then the instance reports the version that it has in force.
 */
import { createAlarm } from '@shop/redis-kit/flow/alarm'
import { every } from '@shop/redis-kit/flow/every'
import type { Channel } from '@shop/redis-kit/pubsub'
import type { Loop } from '@shop/service-kit/process'
import { isDependencyOutage } from '@shop/service-kit/storage/outage'
import type { Log } from '@shop/service-kit/telemetry/log'
import type { OverriddenPolicyStore } from '../policy-store.ts'
import type { Overrides } from './overrides.ts'

export interface ChangeHint {
  revision: string
}

interface Dependencies {
  overrides: Overrides
  hints: Channel<ChangeHint>
  store: OverriddenPolicyStore
  instanceId: string
  log: Log
  /** @default 3_000 */
  readEveryMs?: number
}

/** After a read that failed. The gap of a reconnect may come before commands work again. */
const retryMs = 500

/** All changes are announced under one id. */
const everyPolicy = 'all'

export type OverrideSync = ReturnType<typeof createOverrideSync>

export function createOverrideSync(dependencies: Dependencies) {
  const { overrides, hints, store, instanceId, log, readEveryMs = 3_000 } = dependencies
  const alarm = createAlarm()
  let last: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  const loop: Loop = { name: 'limit-overrides', run }
  return { loop, start, refresh, announce }

  /** Before the first request. Without Redis the file holds until the loop has read the overrides. */
  async function start(): Promise<void> {
    try {
      await refresh()
    } catch (error) {
      if (!isDependencyOutage(error)) throw error
      log.warn({ err: error }, 'rate limit overrides not read: the file holds for now')
    }
  }

  /**
   * Reads one after the other: an answer that is late must not replace a newer one. All who ask during a read share the next one, so that
   * no caller waits for more than two, however slow Redis is and however many ask.
   */
  function refresh(): Promise<void> {
    next ??= last.then(read, read)
    last = next
    return next
  }

  async function read(): Promise<void> {
    next = undefined
    store.override(await overrides.list())
  }

  /** Lost hints are made up for by the next read of each instance. */
  async function announce(revision: string): Promise<void> {
    try {
      await hints.publish(everyPolicy, { revision })
    } catch (error) {
      log.warn({ err: error, revision }, 'rate limit change not announced: the other instances read it in a moment')
    }
  }

  async function run(signal: AbortSignal, pulse: Parameters<Loop['run']>[1]): Promise<void> {
    const stopListening = [
      await hints.subscribe(everyPolicy, alarm.ring),
      hints.onGap(alarm.ring),
      store.onChange(alarm.ring), // to report the new version
    ]
    try {
      await every(readEveryMs, { signal, alarm, jitter: 0.25 }, async () => {
        try {
          await refresh()
          await overrides.report(instanceId, store.current().version)
          pulse.ok()
        } catch (error) {
          if (!isDependencyOutage(error)) throw error
          pulse.failed(error)
          setTimeout(alarm.ring, retryMs).unref()
        }
      })
    } finally {
      await Promise.all(stopListening.map((stop) => stop()))
    }
  }
}
