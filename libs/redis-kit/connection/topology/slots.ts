/**
 * How a Cluster client learns which node has which slot. ioredis asks CLUSTER SLOTS on a connection made for that, and says of a
 * failure only that it failed. Here the reason is kept, and a server that forbids the question is used all the same: every
 * node answers for its own slots and says MOVED for the others, which is remembered.
 */
import { type Cluster, type Redis as Node, ReplyError } from 'ioredis'

type Done = (error?: Error) => void
interface Internals {
  getInfoFromNode(node: Node | undefined, done: Done): void
  slots: string[][]
  _groupsBySlot: (number | undefined)[]
  subscriber: { start(): void }
}

const SLOT_COUNT = 16_384
/** Neither a right nor the command is there. Not "cluster support disabled": that is no Cluster. */
const FORBIDDEN = /^NOPERM|unknown (?:sub)?command/i

export const isForbidden = (error: unknown): error is Error =>
  error instanceof ReplyError && FORBIDDEN.test((error as Error).message)

export function learnSlots(cluster: Cluster): void {
  const client = cluster as unknown as Internals
  const ask = client.getInfoFromNode.bind(cluster)
  client.getInfoFromNode = (node, done) => {
    let reason: Error | undefined
    const restore = node && hearDuplicate(node, (error) => (reason = error))
    ask(node, (error) => {
      if (!error) return done()
      if (!node || !isForbidden(error)) return done(reason ?? error)
      if (client.slots.length === 0) assumeAll(client, node)
      done()
    })
    restore?.()
  }
  // For SUBSCRIBE, which has connections of its own here (subscriber.ts): one less per client.
  client.subscriber.start = () => {}
}

/** ioredis asks on a duplicate of the node's connection, whose errors it drops. */
function hearDuplicate(node: Node, onError: (error: Error) => void): () => void {
  const { duplicate } = node
  node.duplicate = (override) => {
    const copy = duplicate.call(node, override)
    copy.on('error', onError)
    return copy
  }
  return () => {
    node.duplicate = duplicate
  }
}

/** A list for each slot, and not one for all: MOVED replaces its first entry. */
function assumeAll(client: Internals, { options }: Node): void {
  for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
    client.slots[slot] = [`${options.host}:${options.port}`]
    client._groupsBySlot[slot] = 1
  }
}
