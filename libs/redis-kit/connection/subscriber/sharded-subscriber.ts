/**
 * Sharded pub/sub: on a Cluster, SPUBLISH stays on the shard that the channel's name hashes to, where PUBLISH goes to every
 * node. So there is a connection per shard that has a channel of ours.
 *
 * Where a channel lives is learned by asking: any node answers SSUBSCRIBE or says MOVED and to whom. That needs neither a
 * map of the slots nor the right to read one, and is right after a failover and a move of slots as well. A replica accepts the
 * subscription too, but messages reach it over the bus, which may lose them: so a node is asked for its role first, and again with
 * each beat. ioredis has sharded
 * subscribers too; they change nodes without a word, and a gap that nobody announces is a stale copy.
 */
import { Command, Redis as Server } from 'ioredis'
import { isRedisOutage } from '../../errors.ts'
import type { WatchOptions } from '../connection-state.ts'
import { type Profile, serverOptions } from '../profiles.ts'
import type { Target } from '../target.ts'
import { type KnownNodes, reachable, splitAddress } from '../topology/known-nodes.ts'
import { createLink, type Link } from './subscriber-link.ts'
import type { Carrier, Channel, Subscriptions } from './subscriptions.ts'

/** Nodes may disagree for a moment about who has a slot; then the next beat asks again. */
const MAX_HOPS = 4
/** A shard without channels is kept for so long: it may be about to be needed, and its backoff with it. */
const IDLE_MS = 5000

export interface ShardedOptions {
  target: Target
  profile: Profile
  nodes: KnownNodes
  subscriptions: Subscriptions
  onError: (error: Error) => void
  watched?: WatchOptions
}

interface Shard {
  readonly address: string
  readonly link: Link
  readonly moves: { explain(): void }
  idleSinceMs: number
}

/** Where a channel is at this moment, and how often it was sent on since it was last asked for anew. */
interface Place {
  shard: Shard
  hops: number
}

export function createShardedLinks({ target, profile, nodes, subscriptions, onError, watched }: ShardedOptions) {
  const shards = createShards(nodes, openShard)
  const owners = new Map<number, string>() // slot -> address, as last heard
  const places = new Map<Channel, Place>()
  let isClosed = false

  const carrier: Carrier = {
    add: (channel) => put(channel, shards.at(owners.get(slotOf(channel)) ?? shards.any()), 0),
    async remove(channel) {
      const place = places.get(channel)
      places.delete(channel)
      await place?.shard.link.remove(channel)
    },
  }

  function put(channel: Channel, shard: Shard, hops: number): void {
    places.get(channel)?.shard.link.release(channel)
    places.set(channel, { shard, hops })
    shard.link.add(channel)
  }
  function refused(shard: Shard, channel: Channel, error: Error): void {
    const place = places.get(channel)
    if (place?.shard !== shard) return
    const moved = /^MOVED (?<slot>\d+) (?<address>\S+)/.exec(error.message)?.groups
    if (moved) {
      shard.moves.explain()
      const address = reachable(moved.address as string, shard.address, profile.natMap)
      owners.set(Number(moved.slot), address)
      subscriptions.lose([channel], 'a slot has moved')
      if (maySendOn(channel, place)) put(channel, shards.at(address), place.hops + 1)
    } else if (!isRedisOutage(error)) {
      subscriptions.refuse(channel, error)
    } // else the next beat asks again
  }
  /** The node is a replica. Another one knows its master, and says so with MOVED. */
  function leave(shard: Shard, channel: Channel): void {
    const place = places.get(channel)
    if (place?.shard !== shard) return
    subscriptions.lose([channel], 'the node is a replica')
    owners.delete(slotOf(channel))
    if (maySendOn(channel, place)) put(channel, shards.at(shards.any(shard)), place.hops + 1) // else the next beat asks again
  }
  /** False as well when the listener of a gap, which `lose` calls, has unsubscribed the channel. */
  const maySendOn = (channel: Channel, place: Place) => places.get(channel) === place && place.hops < MAX_HOPS
  async function beat(shard: Shard): Promise<void> {
    const { link } = shard
    if (link.channels.size > 0 && !(await isMaster(link.redis))) {
      for (const channel of [...link.channels]) {
        startAnew(places.get(channel))
        leave(shard, channel)
      }
    } else askAgain(link, ({ isConfirmed }) => !isConfirmed)
  }
  /** What this node had may be anywhere now: the others are asked. */
  function closed(shard: Shard): void {
    if (isClosed) return
    for (const channel of [...shard.link.channels]) {
      owners.delete(slotOf(channel))
      put(channel, shards.at(shards.any(shard)), 0)
    }
  }
  /** What is still there is confirmed, the rest is sent on. */
  function askAgain(link: Link, isDoubtful: (channel: Channel) => boolean): void {
    for (const channel of [...link.channels].filter(isDoubtful)) {
      startAnew(places.get(channel))
      void link.ask(channel)
    }
  }
  function openShard(address: string): Shard {
    const [host, port] = splitAddress(address)
    const redis = new Server({ ...serverOptions(target, profile), host, port })
    redis.on('ready', () => void nodes.learn(redis, address)) // before the first channel is asked for
    const link = createLink(redis, {
      kind: 'sharded',
      subscriptions,
      onError,
      watched: watched && { ...watched, node: address },
      onRefused: (channel, error) => refused(shard, channel, error),
      onClosed: () => closed(shard),
      maySubscribe: async (channel) => {
        const isFit = await isMaster(redis)
        if (!isFit) leave(shard, channel)
        return isFit
      },
      onBeat: () => void beat(shard),
    })
    const moves = noticeMoves(redis, () => askAgain(link, ({ isConfirmed }) => isConfirmed))
    const shard: Shard = { address, link, moves, idleSinceMs: 0 }
    return shard
  }
  async function close(): Promise<void> {
    isClosed = true
    await shards.close()
  }
  return { carrier, isAlive: shards.areAlive, close }
}

function startAnew(place: Place | undefined): void {
  if (place) place.hops = 0
}

/** The nodes that we are connected to, by address. */
function createShards(nodes: KnownNodes, open: (address: string) => Shard) {
  const shards = new Map<string, Shard>()
  const sweeper = setInterval(closeIdle, IDLE_MS).unref()

  function at(address: string): Shard {
    const shard = shards.get(address) ?? open(address)
    shards.set(address, shard)
    return shard
  }
  /** A node that is connected knows where a channel lives. Without a connection: one known node after the other. */
  function any(except?: Shard): string {
    for (const shard of shards.values()) if (shard !== except && shard.link.isReady()) return shard.address
    return nodes.next()
  }
  function closeIdle(): void {
    for (const shard of shards.values()) {
      if (shard.link.channels.size > 0) shard.idleSinceMs = 0
      else if (shard.idleSinceMs === 0) shard.idleSinceMs = performance.now()
      else {
        shards.delete(shard.address)
        void shard.link.close()
      }
    }
  }
  return {
    at,
    any,
    /** All that carry a channel. */
    areAlive: () => [...shards.values()].every(({ link }) => link.channels.size === 0 || link.isAlive()),
    async close() {
      clearInterval(sweeper)
      await Promise.all([...shards.values()].map(({ link }) => link.close()))
    },
  }
}

/**
 * When a slot leaves a node, the server ends the subscriptions of its channels; ioredis says `moved` then, without saying
 * which. It says so for each MOVED reply too, and of those we know: `explain` takes one off. If any are left, `onMoved`.
 */
function noticeMoves(redis: Server, onMoved: () => void): { explain(): void } {
  let unexplainedCount = 0
  redis.on('moved', () => {
    if (unexplainedCount++ === 0) setImmediate(check) // the rejections of this turn come first
  })
  function check() {
    if (unexplainedCount > 0) onMoved()
    unexplainedCount = 0
  }
  return { explain: () => void unexplainedCount-- }
}

/** A server that does not tell its role is taken for a master. */
async function isMaster(redis: Server): Promise<boolean> {
  const reply = await redis.call('HELLO').catch(() => undefined)
  const fields = Array.isArray(reply)
    ? reply.map(String)
    : Object.entries(reply ?? {})
        .flat()
        .map(String)
  return fields[fields.indexOf('role') + 1] !== 'replica'
}

function slotOf({ name }: Channel): number {
  return new Command('ssubscribe', [name]).getSlot() as number
}
