/** A deadline for decisions: an answer that comes later is of no use to the request that waits for it. */

export class DecisionLate extends Error {
  override readonly name = 'DecisionLate'
  readonly code = 'RATE_LIMIT_LATE'
}

/**
 * Settles as `work` does, or rejects with DecisionLate after `ms`. The work goes on; its late end is ignored.
 *
 * After a pause of this process (a long computation, a collection of garbage) timers run before sockets are read, and the
 * answer may be lying there. So the timer waits for that one look: our own pauses do not count as an outage.
 */
export function within<Value>(ms: number, work: () => Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new DecisionLate(`no decision within ${ms} ms`))
    const timer = setTimeout(() => setImmediate(giveUp), ms)
    work().then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
