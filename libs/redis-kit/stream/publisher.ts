/** Appending to one partition. What is published within one tick is one call, which takes each event at most once. */
import type { Redis } from '../connection/connection.ts'
import { coalesce } from '../flow/coalesce.ts'
import { script } from '../script.ts'
import { NOTE_MS } from './limits.ts'
import { markOf } from './marks.ts'
import type { Topic, TopicEvent, TopicOptions } from './stream.ts'

/**
 * The stream has not got an entry that it had confirmed: a crash before the fsync, a failover to a replica that was behind, a file
 * that is older, a flush. Nothing was appended: what was lost has to be published before what comes next, to keep the order.
 */
export class StreamRegressed extends Error {
  readonly code = 'STREAM_REGRESSED'
  override readonly name = 'StreamRegressed'
}

const append = script<[droppedCount: number, streamIds: string]>(new URL('./publish.lua', import.meta.url), {
  effect: 'idempotent',
})
/**
 * Bounds how long one call of the script holds up the server: 0.2 ms. Of several such calls the server runs one while this process
 * makes the next and reads the answers of the last; over a large one they take turns.
 */
const MAX_BATCH_COUNT = 32
/** Of the script: what comes before the notes' keys. */
const FIRST_NOTE = 3

export function createPublisher(redis: Redis, partition: number, options: TopicOptions): Topic['publish'] {
  const { keys, maxLengthCount = 1_000_000, onDropped, reachedId = () => '' } = options
  const [stream, oldest] = [keys.stream.key(partition), keys.oldest.key(partition)]
  return coalesce(appendAll, { maxCount: MAX_BATCH_COUNT })

  /** The script takes an id once: published twice within a tick, it is one event with two who wait for it. */
  async function appendAll(events: readonly TopicEvent[]): Promise<string[]> {
    const ids = [...new Set(events.map(({ id }) => id))]
    if (ids.length === events.length) return appendDistinct(events)
    const distinct = ids.map((id) => events.find((event) => event.id === id) as TopicEvent)
    const streamIds = await appendDistinct(distinct)
    return events.map(({ id }) => streamIds[ids.indexOf(id)] as string)
  }

  async function appendDistinct(events: readonly TopicEvent[]): Promise<string[]> {
    const reached = reachedId(partition)
    const { notes, marks, described } = describe(events)
    const scriptKeys = [stream, oldest, ...notes.map((time) => keys.seen.key(partition, time))]
    const args = [reached, keys.dedupeMs, NOTE_MS, maxLengthCount, ...marks, ...described]
    const [droppedCount, streamIds] = await append(redis, scriptKeys, args)
    if (droppedCount === -1) throw new StreamRegressed(`${stream} has lost ${reached}, which it had confirmed`)
    if (droppedCount > 0) onDropped?.({ partition, count: droppedCount })
    return streamIds.split(' ')
  }
}

/** The events as arguments of the script, with the marks that belong into each note. */
function describe(events: readonly TopicEvent[]): { notes: string[]; marks: string[]; described: string[] } {
  const notes: string[] = []
  const marks: string[] = []
  const described: string[] = []
  let at = -1
  for (const { id, key, type, body } of events) {
    const { time, mark } = markOf(id)
    const before = at
    // Published together is mostly created together: there are one or two notes.
    if (time !== notes[at]) at = notes.indexOf(time)
    if (at < 0) at = notes.push(time) - 1
    marks[at] = (marks[at] ?? '') + mark
    described.push(at === before ? '' : String(FIRST_NOTE + at), mark, id, key, type, body)
  }
  return { notes, marks, described }
}
