/**
 * How work that goes on by itself says how it fares, round by round: for a health check and a metric. A failure stands until the same
 * part says `ok`. Work that waits out outages by itself looks well from outside; this is how it shows that it is not.
 */
export interface Pulse {
  /** A round worked. `part`: of what, for work that has several (the partitions of a topic). */
  ok(part?: string): void
  failed(error: unknown, part?: string): void
}
