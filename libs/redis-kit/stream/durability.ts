/**
 * "It is on the disk", from servers that can say so: WAITAOF (Redis 7.2, Valkey 8.0) answers once the append-only file is synced up
 * to what the asking connection has written last. With `appendfsync everysec` that takes up to a second or two and the connection
 * is blocked meanwhile, so it is a connection of its own, of role 'blocking': it makes sure that the events are there, writes
 * something behind them, and waits for that.
 */
import type { Cluster } from 'ioredis'
import { Command } from 'ioredis'
import type { Redis } from '../connection/connection.ts'
import { SYNCED_MS } from './limits.ts'
import type { TopicKeys } from './stream.ts'
import { isOlder } from './stream-id.ts'

/** Where an event is, which `publish` has answered. All that was published to the partition before it is meant as well. */
export interface Place {
  keys: TopicKeys
  partition: number
  streamId: string
}

/** `unsupported`: this server cannot say (too old, no append-only file, no permission). `late`: not yet, ask again. */
export type Flushed = 'on-disk' | 'gone' | 'late' | 'unsupported'

export interface Disk {
  /** In the order of the places. Rejects when Redis is away, and when the partition has moved to another node meanwhile. */
  flushed(places: readonly Place[]): Promise<Flushed[]>
}

const UNSUPPORTED = /unknown command|appendonly is disabled|NOPERM/i

export function createDisk(redis: Redis, { timeoutMs = 2000 }: { timeoutMs?: number } = {}): Disk {
  return { flushed }

  async function flushed(places: readonly Place[]): Promise<Flushed[]> {
    const nodes = places.map(nodeOf)
    // All of it is written before this tick ends, hence to one connection per node: another one would know nothing of the writes.
    const writes = places.map(writeBehind)
    const waits = places.map((place) => untilSynced(place))
    const [arePresent, synced] = await Promise.all([Promise.all(writes), Promise.all(waits)])
    // WAITAOF has no key, so it is not redirected: asked of a node that is not responsible any more, its answer means nothing.
    if (places.some((place, index) => nodeOf(place) !== nodes[index])) throw new Error('a partition has moved')
    return places.map((_, index) => (arePresent[index] ? (synced[index] as Flushed) : 'gone'))
  }

  /** True if the event is there, or was there long enough for everybody. */
  async function writeBehind({ keys, partition, streamId }: Place): Promise<boolean> {
    const [found, noted] = await Promise.all([
      redis.xrange(keys.stream.key(partition), streamId, streamId),
      redis.get(keys.oldest.key(partition)),
      redis.set(keys.synced.key(partition), streamId, 'PX', SYNCED_MS),
    ])
    return found.length > 0 || isOlder(streamId, noted ?? '')
  }

  async function untilSynced(place: Place): Promise<Flushed> {
    const command = new Command('waitaof', [1, 0, timeoutMs])
    try {
      redis.sendCommand(command, undefined, { slot: slotOf(place) } as never)
      const [localCount] = (await command.promise) as [number, number]
      return localCount > 0 ? 'on-disk' : 'late'
    } catch (error) {
      if (error instanceof Error && UNSUPPORTED.test(error.message)) return 'unsupported'
      throw error
    }
  }

  function nodeOf(place: Place): string | undefined {
    return redis.isCluster ? (redis as Cluster).slots[slotOf(place)]?.[0] : undefined
  }
}

function slotOf({ keys, partition }: Place): number {
  return new Command('get', [keys.stream.key(partition)]).getSlot() as number
}
