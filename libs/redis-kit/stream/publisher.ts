/** Appending to one partition. What is published within one tick is one call, which takes each event at most once. */
import type { Redis } from '../client.ts'
import { type ScriptArgument, script } from '../script.ts'
import { coalesce } from './coalesce.ts'
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

const append = script<[droppedCount: number, ...streamIds: string[]]>(new URL('./publish.lua', import.meta.url), {
  effect: 'idempotent',
})
/** Bounds how long one call of the script holds up the server: well under a millisecond. */
const MAX_BATCH_COUNT = 100

export function createPublisher(redis: Redis, partition: number, options: TopicOptions): Topic['publish'] {
  const { keys, maxLengthCount = 1_000_000, onDropped, reachedId = () => '' } = options
  const [stream, oldest] = [keys.stream.key(partition), keys.oldest.key(partition)]
  return coalesce(MAX_BATCH_COUNT, appendAll)

  async function appendAll(events: TopicEvent[]): Promise<string[]> {
    const reached = reachedId(partition)
    // Published together is mostly created together: there are one or two hashes.
    const hashes = new Map<string, { number: number; baseMs: number }>()
    const marked: ScriptArgument[] = []
    for (const { id, key, type, body } of events) {
      const { bucket, baseMs, name } = markOf(id)
      const number = hashes.get(bucket)?.number ?? hashes.size + 1
      hashes.set(bucket, { number, baseMs })
      marked.push(number, name, id, key, type, body)
    }
    const marks = Array.from(hashes.keys(), (bucket) => keys.seen.key(partition, bucket))
    const bases = Array.from(hashes.values(), ({ baseMs }) => baseMs)
    const args = [reached, keys.dedupeMs, NOTE_MS, maxLengthCount, ...bases, ...marked]
    const [droppedCount, ...streamIds] = await append(redis, [stream, oldest, ...marks], args)
    if (droppedCount === -1) throw new StreamRegressed(`${stream} has lost ${reached}, which it had confirmed`)
    if (droppedCount > 0) onDropped?.({ partition, count: droppedCount })
    return streamIds
  }
}
