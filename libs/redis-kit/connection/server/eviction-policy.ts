/**
 * Does the server forget what it may, and nothing else? The two roles need opposite policies (`maxmemory-policy`): a cache that
 * may not evict answers writes with OOM once it is full, and a state server that evicts loses sessions, streams and limits
 * without a word. Neither shows before memory is short, so ask at the start:
 *
 *     const eviction = await checkEvictionPolicy(redis, 'cache')
 *     if (eviction.status === 'wrong') log.warn(eviction, 'Redis has the wrong maxmemory-policy')
 *
 * It says nothing of `maxmemory` itself: how much is right is the server's business.
 */
import type { Cluster, Redis as Server } from 'ioredis'
import { within } from '../../flow/deadline.ts'
import type { KeyRole } from '../../keys.ts'
import type { Redis } from '../connection.ts'

export type EvictionPolicy =
  | { status: 'ok'; policy: string }
  | { status: 'wrong'; policy: string; wanted: string }
  /** The server does not say: INFO is refused, or hides it, or there was no answer. It may well be right. */
  | { status: 'unknown' }

const TIMEOUT_MS = 2_000

/** What is wanted, for people, and which policies are that. All keys of a cache expire, so `volatile-*` reaches them too. */
const WANTED: Record<KeyRole, { wanted: string; isRight: (policy: string) => boolean }> = {
  cache: { wanted: 'one that evicts, best allkeys-lfu', isRight: (policy) => policy !== 'noeviction' },
  state: { wanted: 'noeviction', isRight: (policy) => policy === 'noeviction' },
}

/** Asks by INFO, on a Cluster every master: one wrong node is enough. Never throws. */
export async function checkEvictionPolicy(redis: Redis, role: KeyRole): Promise<EvictionPolicy> {
  const nodes = redis.isCluster ? (redis as Cluster).nodes('master') : [redis as Server]
  const policies = await Promise.all(nodes.map(policyOf))
  const { wanted, isRight } = WANTED[role]
  const wrong = policies.find((policy) => policy !== undefined && !isRight(policy))
  if (wrong !== undefined) return { status: 'wrong', policy: wrong, wanted }
  const [policy] = policies
  return policy === undefined || policies.includes(undefined) ? { status: 'unknown' } : { status: 'ok', policy }
}

async function policyOf(node: Server): Promise<string | undefined> {
  const asked = node.info('memory').catch(() => undefined)
  const text = await within(asked, TIMEOUT_MS, () => undefined)
  return /^maxmemory_policy:(\S+)/m.exec(text ?? '')?.[1]
}
