/** A deadline for decisions: an answer that comes later is of no use to the request that waits for it. */

export class DecisionLate extends Error {
  override readonly name = 'DecisionLate'
  readonly code = 'RATE_LIMIT_LATE'
}

/** Settles as `work` does, or rejects with DecisionLate after `ms`. The work goes on; its late end is ignored. */
export function within<Value>(ms: number, work: () => Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DecisionLate(`no decision within ${ms} ms`)), ms)
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
