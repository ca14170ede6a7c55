/**
 * Keeps a topic small without losing anything: trims what every group has finished, and forgets consumers that are long gone.
 * MAXLEN alone would drop what a slow group still has to read, and its pending list would look healthy afterwards.
 *
 *     loops: [{ name: 'janitor', run: createJanitor(redis, { keys }).run }]
 */
import type { Redis } from '../connection/connection.ts'
import { isRedisOutage } from '../errors.ts'
import { every } from '../flow/every.ts'
import type { Pulse } from '../flow/pulse.ts'
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import { script } from '../script.ts'
import { NOTE_MS } from './limits.ts'
import type { TopicKeys } from './stream.ts'

export interface JanitorOptions {
  keys: TopicKeys
  /** @default 30_000 */
  everyMs?: number
  /** Entries younger than this stay, for a group that is yet to come and for whoever wants to look. @default 600_000 */
  retainMs?: number
  /** Consumers that hold nothing and were silent for so long are removed. @default 3_600_000 */
  consumerIdleMs?: number
  /** Entries dropped per call, so that no call holds up the server. @default 10_000 */
  batchCount?: number
}

export interface Tidied {
  droppedCount: number
  forgottenConsumers: string[]
}

export interface Janitor {
  /** One round over all partitions. */
  tidy(): Promise<Tidied>
  /** Rounds until the signal aborts. Any number of processes may do this for one topic. */
  run(signal: AbortSignal, pulse?: Pulse): Promise<void>
}

const trim = script<[droppedCount: number, neededId: string]>(new URL('./trim.lua', import.meta.url), {
  effect: 'idempotent',
})
const forget = script<string[]>(new URL('./forget-consumers.lua', import.meta.url), { effect: 'idempotent' })

export function createJanitor(redis: Redis, options: JanitorOptions): Janitor {
  const { keys, everyMs = 30_000, retainMs = 600_000, consumerIdleMs = 3_600_000, batchCount = 10_000 } = options
  checkNumbers(`janitor of ${keys.name}`, options, {
    everyMs: { min: 1, max: MAX_TIMER_MS / 2 },
    retainMs: { min: 0, isWhole: true },
    consumerIdleMs: { min: 0, isWhole: true },
    batchCount: { min: 1, isWhole: true },
  })
  return { tidy, run }

  async function tidy(): Promise<Tidied> {
    const tidied: Tidied = { droppedCount: 0, forgottenConsumers: [] }
    for (let partition = 0; partition < keys.partitions; partition++) {
      tidied.droppedCount += await trimAll(partition)
      tidied.forgottenConsumers.push(...(await forget(redis, [keys.stream.key(partition)], [consumerIdleMs])))
    }
    return tidied
  }

  async function trimAll(partition: number): Promise<number> {
    const names = [keys.stream.key(partition), keys.oldest.key(partition)]
    let totalCount = 0
    while (true) {
      const [droppedCount] = await trim(redis, names, [retainMs, batchCount, NOTE_MS])
      totalCount += droppedCount
      if (droppedCount < batchCount) return totalCount
    }
  }

  function run(signal: AbortSignal, pulse?: Pulse): Promise<void> {
    return every(everyMs, { signal, jitter: 0.5 }, async () => {
      try {
        await tidy()
        pulse?.ok()
      } catch (error) {
        pulse?.failed(error)
        if (!isRedisOutage(error)) throw error
      }
    })
  }
}
