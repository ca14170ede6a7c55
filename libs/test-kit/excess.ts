/** How late work ends that has a deadline, on a machine that may be busy. */
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * How much later than a bare timer of the deadline that is started with it: a busy machine holds up both, and work that waits for a second
 * deadline is late by as much. One descheduled moment between the two is no broken promise, a typical one is: the middle of five runs.
 */
export async function typicalExcessMs(deadlineMs: number, work: () => Promise<unknown>): Promise<number> {
  const excessesMs: number[] = []
  for (let i = 0; i < 5; i++) {
    const timer = sleep(deadlineMs).then(() => performance.now())
    const [dueMs, doneMs] = await Promise.all([timer, work().then(() => performance.now())])
    excessesMs.push(doneMs - dueMs)
  }
  return excessesMs.toSorted((a, b) => a - b)[2] as number
}
