/**
 * Compares the outbox with a stream that was fed from it, and has published again what the stream has lost: to a crash before its
 * fsync, a failover to a replica that was behind, a file that is older, a flush, or somebody who trimmed it by hand.
 *
 * Each row knows where its event went. So nothing has to be remembered by a process, and a relay that just started sees as much
 * as one that was there. The first look is at everything that should be there; each later one at what came since, once more with
 * what came shortly before it (a batch may have been open), and at the two ends of the stream. If any of that is missing, at everything.
 */
import type { Redis } from '@shop/redis-kit/connection'
import type { TopicKeys } from '@shop/redis-kit/stream'
import { createAudit, type Findings } from '@shop/redis-kit/stream/audit'
import { isOlder, millisecondsOf } from '@shop/redis-kit/stream/stream-id'
import type pg from 'pg'
import { createPlaces, type PlacedRow } from './places.ts'

export interface Loss {
  topic: string
  partition: number
  /** Events that the stream has not got any more, and that will be published again. */
  count: number
}

export interface OutboxAuditOptions {
  pool: pg.Pool
  redis: Redis
  keys: TopicKeys
  /** @default 30_000 */
  resendAfterMs?: number
  /** There are rows to publish again. */
  onLoss: (loss: Loss) => void
}

export interface OutboxAudit {
  /** The newest entry known to have been there, '' for none: as long as it is, nothing was lost. */
  reachedId(partition: number): string
  /**
   * Rows taken from the outbox before this time (performance.now) must not be published: there may be earlier ones that nobody knew
   * were to be published again. Infinity before the first look.
   */
  validSinceMs(partition: number): number
  /** Called with each publication. */
  reached(partition: number, streamId: string): void
  /** One look at each partition. Rejects when Redis or Postgres is away. */
  compare(): Promise<void>
}

/** Longer than a batch may be open: its rows turn up with its commit, and not when they were published. */
const OVERLAP_MS = 15_000

interface State {
  reachedId: string
  validSinceMs: number
  /** The server's time of the last look. */
  lookedMs?: number
  deletedId: string
}

export function createOutboxAudit(options: OutboxAuditOptions): OutboxAudit {
  const { pool, redis, keys, resendAfterMs = 30_000, onLoss } = options
  const audit = createAudit(redis, { keys })
  const places = createPlaces(pool, keys.name)
  const states = Array.from(
    { length: keys.partitions },
    (): State => ({ reachedId: '', validSinceMs: Infinity, deletedId: '' }),
  )
  return { reachedId, validSinceMs, reached, compare }

  function reachedId(partition: number): string {
    return states[partition]?.reachedId ?? ''
  }

  function validSinceMs(partition: number): number {
    return states[partition]?.validSinceMs ?? Infinity
  }

  function reached(partition: number, streamId: string): void {
    const state = states[partition]
    if (state && isOlder(state.reachedId, streamId)) state.reachedId = streamId
  }

  async function compare(): Promise<void> {
    for (const [partition, state] of states.entries()) await compareOne(partition, state)
  }

  async function compareOne(partition: number, state: State): Promise<void> {
    const claimedId = state.reachedId
    const found = await audit.inspect(partition, claimedId === '' ? [] : [claimedId])
    const lost = await lostRows(partition, state, found)
    if (lost.length > 0) {
      await places.unsend(partition, lost)
      onLoss({ topic: keys.name, partition, count: lost.length })
    }
    await places.unsendUnconfirmed(partition, found.nowMs - resendAfterMs)
    // What was dropped lately may still get its commit: then its evidence has to be there.
    const isGapOld = found.oldestId !== '' && millisecondsOf(found.oldestId) < found.nowMs - OVERLAP_MS
    if (isGapOld && found.oldestId !== found.notedId) await audit.inspect(partition, [], found.oldestId)

    // Everything that is marked as sent is there now. Is what this process was told not among it, its batch is still open, and
    // its row turns up in the next look.
    const isClaimLost = found.lostIds.length > 0
    if (isClaimLost || isOlder(state.reachedId, found.newestId)) state.reachedId = found.newestId
    if (isClaimLost || lost.length > 0 || state.lookedMs === undefined) state.validSinceMs = performance.now()
    state.lookedMs = found.nowMs
    state.deletedId = found.deletedId
  }

  async function lostRows(partition: number, state: State, found: Findings): Promise<PlacedRow[]> {
    const { notedId, oldestId, newestId, deletedId } = found
    const all = () => missing(partition, notedId)
    if (state.lookedMs === undefined || deletedId !== state.deletedId) return all()
    // Everything before the oldest entry that is not older than the note; and the end.
    const gap = isOlder(notedId, oldestId) ? await missing(partition, notedId, oldestId) : []
    const recentId = `${Math.max(0, state.lookedMs - OVERLAP_MS)}-0`
    const tail = await missing(partition, isOlder(newestId, recentId) ? newestId : recentId)
    return tail.length > 0 ? all() : gap
  }

  /** Rows whose event should be on the stream from one id to before another, and is not. */
  async function missing(partition: number, fromId: string, beforeId?: string): Promise<PlacedRow[]> {
    const lost: PlacedRow[] = []
    for await (const page of places.between(partition, fromId, beforeId)) {
      const ids = page.map(({ streamId }) => streamId)
      const lostIds = new Set((await audit.inspect(partition, ids)).lostIds)
      lost.push(...page.filter(({ streamId }) => lostIds.has(streamId)))
    }
    return lost
  }
}
