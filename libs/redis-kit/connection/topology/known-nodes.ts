/**
 * The nodes of a Cluster that a subscriber may dial: those of its URL, and those that the Cluster named while it was connected. A URL
 * often names one node; when that one has been replaced, the others still lead to the Cluster.
 */
import type { Redis as Server } from 'ioredis'
import type { Profile } from '../profiles.ts'
import type { Target } from '../target.ts'

/** Of a Cluster of ordinary size this is all of it; of a larger one enough. */
const MAX_LEARNED_COUNT = 64

type Node = [host: string | null, port: number, ...unknown[]]
type SlotRange = [from: number, to: number, ...nodes: Node[]]

export type KnownNodes = ReturnType<typeof createKnownNodes>

export function createKnownNodes({ nodes }: Target, natMap: Profile['natMap']) {
  const seeds = nodes.map(({ host, port }) => `${host}:${port}`)
  let known = seeds
  let turn = 0

  return {
    all: () => known,
    /** One after the other; the seeds first. */
    next: () => known[turn++ % known.length] as string,
    /** Asks the node that the connection leads to. Never rejects: without the right to ask, the seeds are all that is known. */
    async learn(redis: Server, address: string): Promise<void> {
      try {
        const ranges = (await redis.cluster('SLOTS')) as SlotRange[]
        const announced = ranges.flatMap(([, , ...owners]) => owners.map(([host, port]) => `${host ?? ''}:${port}`))
        const learned = announced.map((one) => reachable(one, address, natMap)).slice(0, MAX_LEARNED_COUNT)
        known = [...new Set([...seeds, ...learned])]
      } catch {
        // what was known before stays
      }
    },
  }
}

/** As the Cluster announces an address -> as it is reached from here. Without a host it means "the same as mine". */
export function reachable(announced: string, askedAddress: string, natMap: Profile['natMap']): string {
  const address = announced.startsWith(':') ? splitAddress(askedAddress)[0] + announced : announced
  const mapped = typeof natMap === 'function' ? natMap(address) : natMap?.[address]
  return mapped ? `${mapped.host}:${mapped.port}` : address
}

/** At the last colon: an IPv6 address has more of them. */
export function splitAddress(address: string): [host: string, port: number] {
  const colon = address.lastIndexOf(':')
  return [address.slice(0, colon), Number(address.slice(colon + 1))]
}
