/** Instances that are known and not listed by the registry: when to ask each, and what follows from its answers. */
import { doubledMs } from '../flow/backoff.ts'
import type { Instance } from './instance.ts'

export interface UnlistedOptions {
  /** Longest time between two questions to an instance that answers; one that is silent is asked less and less often. */
  askEveryMs: number
  /** An instance that has not answered for so long is forgotten. */
  forgetAfterMs: number
  /** Monotonic clock, ms. */
  now: () => number
}

/** unclear: no answer in time. It may be this process that is slow, so one of these does not count. */
export type Finding = 'answers' | 'silent' | 'unclear'

interface Entry {
  instance: Instance
  /** Questions in a row without an answer. */
  missCount: number
  askAtMs: number
  /** Hidden since then. */
  silentSinceMs: number | undefined
}

const MAX_ASK_PAUSE_MS = 30_000
/** Of all questions together: thousands of instances are asked in turn, and not each one every second. */
const MAX_QUESTIONS_PER_SECOND = 50

export function createUnlisted({ askEveryMs, forgetAfterMs, now }: UnlistedOptions) {
  const entries = new Map<string, Entry>()

  return {
    add,
    heard,
    due,
    remove: (id: string) => void entries.delete(id),
    all: () => entries.values().map(({ instance }) => instance),
    /** Are there any that are to be called all the same? */
    hasShown: () => entries.values().some(({ silentSinceMs }) => silentSinceMs === undefined),
    count: () => entries.size,
  }

  /** @param isHidden true: not to be called before it has answered */
  function add(instance: Instance, { isHidden }: { isHidden: boolean }) {
    if (entries.has(instance.id)) return
    const nowMs = now()
    entries.set(instance.id, { instance, missCount: 0, askAtMs: nowMs, silentSinceMs: isHidden ? nowMs : undefined })
  }

  /** The instances to ask now. */
  function due(): Instance[] {
    const nowMs = now()
    return [...entries.values()].filter(({ askAtMs }) => askAtMs <= nowMs).map(({ instance }) => instance)
  }

  function pauseMs({ missCount }: Entry) {
    const growingMs = doubledMs(Math.max(1, missCount - 1), { baseMs: askEveryMs, capMs: MAX_ASK_PAUSE_MS })
    return Math.max(growingMs, (entries.size / MAX_QUESTIONS_PER_SECOND) * 1_000)
  }

  /** What changes for the caller. Nothing, if the registry has listed the instance meanwhile. */
  function heard(asked: Instance, finding: Finding): 'show' | 'hide' | undefined {
    const entry = entries.get(asked.id)
    if (entry?.instance !== asked) return undefined
    const wasHidden = entry.silentSinceMs !== undefined
    const isAlive = finding === 'answers'
    entry.missCount = isAlive ? 0 : entry.missCount + 1
    entry.askAtMs = now() + pauseMs(entry)
    if (isAlive) {
      entry.silentSinceMs = undefined
      return wasHidden ? 'show' : undefined
    }
    if (finding === 'unclear' && entry.missCount < 2) return undefined
    entry.silentSinceMs ??= now()
    if (now() - entry.silentSinceMs > forgetAfterMs) entries.delete(asked.id)
    return wasHidden ? undefined : 'hide'
  }
}
