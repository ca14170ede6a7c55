/** The keys of sessions. All of one user share a hash tag and so a slot, see session-id.ts. */
import { type KeyFamily, keyFamily } from '../keys.ts'

const DAY_MS = 24 * 60 * 60 * 1000

export interface SessionKeys {
  /** Hash, one per session, under its handle. */
  session: KeyFamily
  /** Sorted set, one per user: handle by absolute deadline. */
  index: KeyFamily
  /** String, one per user who ever revoked: how often. A session carries the epoch it was created in. */
  epoch: KeyFamily
}

export interface SessionKeyOptions {
  /** No session lives longer, whatever `absoluteMs` says. @default 90 days */
  longestMs?: number
  /** Services that may load (and so touch) sessions, besides their owner. @default nobody */
  sharedWith?: KeyFamily['sharedWith']
}

/** For a service `user`: `user:session:{tag}:<handle>`, `user:sessions:{tag}`, `user:session-epoch:{tag}`. */
export function sessionKeys(
  service: string,
  { longestMs = 90 * DAY_MS, sharedWith }: SessionKeyOptions = {},
): SessionKeys {
  const common = { service, role: 'state', ttl: { ms: longestMs }, sharedWith } as const
  const tag = 'Zm9vYmFy'
  return {
    session: keyFamily({
      ...common,
      pattern: `${service}:session:{<tag>}:<handle>`,
      type: 'hash',
      example: [tag, 'x0Xq3oWn7J8kq8b1N9G1b6m1c6t0Yz2vYk3V0r4l5uE'],
      hidden: 'personal data: the device, the role and what a service keeps about a signed-in user',
      doc: 'a signed-in session, under the hash of its id; `d:` fields may be encrypted',
    }),
    index: keyFamily({
      ...common,
      pattern: `${service}:sessions:{<tag>}`,
      type: 'zset',
      example: [tag],
      doc: "a user's session handles by absolute deadline, ms",
    }),
    epoch: keyFamily({
      ...common,
      pattern: `${service}:session-epoch:{<tag>}`,
      type: 'string',
      example: [tag],
      doc: "how often all of a user's sessions were revoked; sessions of another epoch are void",
    }),
  }
}
