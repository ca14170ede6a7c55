/**
 * Reports of background work, round by round, for a health check and a metric. A failure stands until the same part reports `ok`.
 * Work that waits out an outage looks well from outside: its pulse shows that it is not.
 */
export interface Pulse {
  /** A round worked. `part` names a part of work that has several, such as a partition of a topic. */
  ok(part?: string): void
  failed(error: unknown, part?: string): void
}
