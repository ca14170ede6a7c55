/**
 * The plain reads of values: all of one tick in one MGET. It waits for nobody (the tick ends by itself), and 64 keys in one
 * command cost the client a fifth of 64 commands. On a Cluster keys live in different slots, so there each is a GET.
 */
import type { Redis } from '../client.ts'
import type { Guard } from './guard.ts'

/** A longer answer would hold up the others on the connection. */
const MAX_KEYS = 100

/** The bytes under a key. Fails as the guard does. */
export type Lookup = (key: string) => Promise<Buffer | null>

interface Waiting {
  resolve(bytes: Buffer | null): void
  reject(error: unknown): void
}

export function createLookup(redis: Redis, guard: Guard): Lookup {
  if (redis.isCluster) return (key) => guard(() => redis.getBuffer(key))
  let keys: string[] = []
  let waiting: Waiting[] = []

  return function look(key) {
    return new Promise((resolve, reject) => {
      // After the promise continuations of this tick, which is when callers that were woken together have asked.
      if (keys.length === 0) process.nextTick(ask)
      keys.push(key)
      waiting.push({ resolve, reject })
      if (keys.length === MAX_KEYS) ask()
    })
  }

  function ask() {
    if (keys.length === 0) return
    const asked = keys
    const askers = waiting
    keys = []
    waiting = []
    guard(() => redis.mgetBuffer(asked)).then(
      (replies) => {
        for (let i = 0; i < askers.length; i++) askers[i]?.resolve(replies[i] ?? null)
      },
      (error) => {
        for (const { reject } of askers) reject(error)
      },
    )
  }
}
