/**
 * The plain reads of values: all of one turn of the event loop in one MGET. A busy server receives many requests per turn, each in
 * a tick of its own, and a command for each would be a system call for each, here and in Redis: a third of the cost of such a
 * request. An idle server does not wait, because its turn is over. On a Cluster keys live in different slots, so there each is a GET.
 *
 * Not by flow/coalesce.ts: that sends at the end of a tick, gives a batch one outcome, and does not mark questions as they are sent.
 */
import type { Redis } from '../connection/connection.ts'
import type { Guard } from './guard.ts'
import type { Order } from './reader.ts'

/** A longer answer would hold up the others on the connection. */
const MAX_KEYS = 100

/** Until it is asked, others may join: its answer will be newer than they are. */
export interface Question {
  isAsked: boolean
  /** The count of `order` at which it was asked: the answer shows all invalidations that had resolved by then. */
  asOf: number
}

/** The bytes under a key. Marks the question as asked when it is sent. Fails as the guard does. */
export type Lookup = (key: string, question: Question) => Promise<Buffer | null>

interface Waiting {
  question: Question
  resolve(bytes: Buffer | null): void
  reject(error: unknown): void
}

export interface LookupOptions {
  guard: Guard
  order: Order
}

export function createLookup(redis: Redis, { guard, order }: LookupOptions): Lookup {
  const get = redis.isCluster ? getEach : getAll
  let keys: string[] = []
  let waiting: Waiting[] = []

  return function look(key, question) {
    return new Promise((resolve, reject) => {
      // After the sockets of this turn were read, when all callers that they woke have asked.
      if (keys.length === 0) setImmediate(ask)
      keys.push(key)
      waiting.push({ question, resolve, reject })
      if (keys.length === MAX_KEYS) ask()
    })
  }

  function ask() {
    if (keys.length === 0) return
    const asked = keys
    const askers = waiting
    keys = []
    waiting = []
    order.count++
    for (const { question } of askers) {
      question.isAsked = true
      question.asOf = order.count
    }
    get(asked, askers)
  }

  function getAll(asked: string[], askers: readonly Waiting[]) {
    guard(() => redis.mgetBuffer(asked)).then(
      (replies) => {
        for (let i = 0; i < askers.length; i++) askers[i]?.resolve(replies[i] ?? null)
      },
      (error) => {
        for (const { reject } of askers) reject(error)
      },
    )
  }

  /** A key of another type is none, as for MGET. */
  function getString(key: string): Promise<Buffer | null> {
    return redis.getBuffer(key).catch((error) => {
      if (error instanceof Error && error.message.startsWith('WRONGTYPE')) return null
      throw error
    })
  }

  function getEach(asked: string[], askers: readonly Waiting[]) {
    for (let i = 0; i < askers.length; i++) {
      const { resolve, reject } = askers[i] as Waiting
      guard(() => getString(asked[i] as string)).then(resolve, reject)
    }
  }
}
