/**
 * Does the stream still have what was put on it? For an owner that keeps a record of its events: what is missing it can publish again.
 *
 * Entries leave a stream in three ways. The janitor drops what every group has finished, and notes what it left as the oldest. Redis
 * loses its end (a crash before the fsync, a failover to a replica that was behind, a file that is older). Somebody trims or
 * deletes by hand. The first is right, so an entry counts as lost when it is missing and not older than the note.
 */
import type { Redis } from '../connection/connection.ts'
import { script } from '../script.ts'
import { NOTE_MS } from './limits.ts'
import type { TopicKeys } from './stream.ts'
import { isOlder } from './stream-id.ts'

/** Ids are `''` where there is none. */
export interface Findings {
  /** The server's clock, which stream ids come from. */
  nowMs: number
  /** The oldest entry that should be there, as noted; '' when nothing was ever trimmed. */
  notedId: string
  oldestId: string
  newestId: string
  /** The newest that was deleted one by one. Nobody here does that. */
  deletedId: string
  /** Those of the ids asked about that were lost. */
  lostIds: string[]
}

type Reply = [
  nowMs: number,
  notedId: string,
  oldestId: string,
  newestId: string,
  deletedId: string,
  missingIds: string[],
]

const look = script<Reply>(new URL('./audit.lua', import.meta.url), { effect: 'idempotent' })

export interface Audit {
  /**
   * Asks about entries of one partition, at most a few hundred in one call: it holds up the server for 3 us each.
   * @param madeGoodId the oldest entry: what was lost before it has been dealt with, and counts as dropped from now on
   */
  inspect(partition: number, ids: readonly string[], madeGoodId?: string): Promise<Findings>
}

export function createAudit(redis: Redis, { keys }: { keys: TopicKeys }): Audit {
  return { inspect }

  async function inspect(partition: number, ids: readonly string[], madeGoodId = ''): Promise<Findings> {
    const names = [keys.stream.key(partition), keys.oldest.key(partition)]
    const reply = await look(redis, names, [madeGoodId, NOTE_MS, ...ids])
    const [nowMs, notedId, oldestId, newestId, deletedId, missingIds] = reply
    const lostIds = missingIds.filter((id) => !isOlder(id, notedId))
    return { nowMs, notedId, oldestId, newestId, deletedId, lostIds }
  }
}
