/**
 * How the processes that keep copies learn of an invalidation.
 *
 * On one server the script that invalidates publishes too, in one step. On a Cluster PUBLISH would go to the nodes of the
 * subscribers over the bus, which loses messages when a link of it breaks, and neither side notices. So there the channel is
 * sharded: SPUBLISH runs on the node that owns the channel, subscribers are connected to that node, and a lost message is a
 * lost connection. The channel is in another slot than the key, so it is a second command. An invalidation has happened
 * when both are done; one that fails between the two is repeated by its caller, as any that fails.
 */
import type { Redis } from '../connection/connection.ts'

export interface Announcements {
  /** For the scripts: the channel to publish on; empty when `announce` does it. */
  readonly scriptChannel: string
  /** After a script. */
  announce(message: string): Promise<void>
  /** By the way that invalidations take. */
  publish(message: string): Promise<unknown>
}

export function createAnnouncements(redis: Redis, channel: string): Announcements {
  if (!redis.isCluster) {
    return { scriptChannel: channel, announce: async () => {}, publish: (message) => redis.publish(channel, message) }
  }
  const publish = (message: string) => redis.spublish(channel, message)
  return { scriptChannel: '', announce: async (message) => void (await publish(message)), publish }
}
