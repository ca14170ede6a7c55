/**
 * The plain reads of values: all of one turn of the event loop in one MGET. A busy server hears of many requests per turn, each in a
 * tick of its own, and a command for each would be a system call for each, here and in Redis: a third of what such a request costs.
 * An idle one waits for nobody, because its turn is over. On a Cluster keys live in different slots, so there each is a GET.
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
      // After what the sockets have brought in this turn, which is when all callers that it woke have asked.
      if (keys.length === 0) setImmediate(ask)
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
