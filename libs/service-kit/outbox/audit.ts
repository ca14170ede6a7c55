/**
 * Compares the outbox with a stream that was fed from it, and has published again what the stream has lost: to a crash before its
 * fsync, a failover to a replica that was behind, a file that is older, a flush, or somebody who trimmed it by hand.
 *
 * Each row knows where its event went. So nothing has to be remembered by a process, and a relay that just started sees as much
 * as one that was there. The first look is at everything that should be there; each later one at what came since, once more with
 * what came shortly before it (a batch may have been open), and at the two ends of the stream. If any of that is missing, at everything.
 */
import type { Redis } from '@shop/redis-kit/client'
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
  /** There are rows to publish again. */
  onLoss: (loss: Loss) => void
}

export interface OutboxAudit {
  /** The newest entry known to have been there ('' for none): the stream must not be behind it. Undefined before the first look. */
  reachedId(partition: number): string | undefined
  /** Called with each publication. */
  reached(partition: number, streamId: string): void
  /** One look at each partition. Rejects when Redis or Postgres is away. */
  compare(): Promise<void>
}

/** Longer than a batch may be open: its rows turn up with its commit, and not when they were published. */
const OVERLAP_MS = 15_000
/** A row that was sent so long ago and is not confirmed belongs to a relay that died. */
const UNCONFIRMED_MS = 30_000

interface State {
  reachedId?: string
  /** The server's time of the last look. */
  lookedMs?: number
  deletedId: string
}

export function createOutboxAudit({ pool, redis, keys, onLoss }: OutboxAuditOptions): OutboxAudit {
  const audit = createAudit(redis, { keys })
  const places = createPlaces(pool, keys.name)
  const states = Array.from({ length: keys.partitions }, (): State => ({ deletedId: '' }))
  return { reachedId, reached, compare }

  function reachedId(partition: number): string | undefined {
    return states[partition]?.reachedId
  }

  function reached(partition: number, streamId: string): void {
    const state = states[partition]
    if (state?.reachedId !== undefined && isOlder(state.reachedId, streamId)) state.reachedId = streamId
  }

  async function compare(): Promise<void> {
    for (const [partition, state] of states.entries()) await compareOne(partition, state)
  }

  async function compareOne(partition: number, state: State): Promise<void> {
    const claimedId = state.reachedId ?? ''
    const found = await audit.inspect(partition, [])
    const lost = await lostRows(partition, state, found)
    if (lost.length > 0) {
      await places.unsend(partition, lost)
      onLoss({ topic: keys.name, partition, count: lost.length })
    }
    await places.unsendUnconfirmed(partition, found.nowMs - UNCONFIRMED_MS)
    // What was dropped lately may still get its commit: then its evidence has to be there.
    const isGapOld = found.oldestId !== '' && millisecondsOf(found.oldestId) < found.nowMs - OVERLAP_MS
    if (isGapOld && found.oldestId !== found.notedId) await audit.inspect(partition, [], found.oldestId)

    // Everything that is marked as sent is there now, up to its newest entry. Is what this process was told not among it, its
    // batch is still open, and its row turns up in the next look.
    const isBehind = isOlder(found.newestId, claimedId)
    if (isBehind || isOlder(state.reachedId ?? '', found.newestId)) state.reachedId = found.newestId
    state.reachedId ??= ''
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
