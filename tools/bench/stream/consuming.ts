/** What every contender of the table of consumers does: a backlog is made while the handlers hold still, then let go and timed. */
import type { Plan, Running, Sample } from '../harness/suite.ts'

export const handlerCount = 50
/** Of backlog per millisecond of the plan. */
const messagesPerMs = 10

/** Gets each message; resolves when it may be acknowledged. */
export type Handle = (eventId: string) => Promise<void>

export interface Worker {
  /** Publishes so many new messages. */
  fill(count: number): Promise<unknown>
  close(): Promise<unknown>
}

/** The worker calls `handle` for 50 messages at a time at most and acknowledges each; `settled` when that has been done. */
export async function consuming(
  open: (handle: Handle, settled: () => void) => Promise<Worker>,
  dedupe: (eventId: string) => Promise<unknown> = async () => {},
): Promise<Running> {
  let gate = Promise.withResolvers<void>()
  let missingCount = 0
  let done = Promise.withResolvers<void>()
  const handle: Handle = async (eventId) => {
    await gate.promise
    await dedupe(eventId)
  }
  const settled = () => {
    missingCount -= 1
    if (missingCount === 0) done.resolve()
  }
  const worker = await open(handle, settled)

  async function measure({ durationMs }: Plan): Promise<Sample> {
    const count = durationMs * messagesPerMs
    gate = Promise.withResolvers<void>()
    done = Promise.withResolvers<void>()
    missingCount = count
    await worker.fill(count)
    const cpuBefore = process.cpuUsage()
    const startedMs = performance.now()
    gate.resolve()
    await done.promise
    const tookMs = performance.now() - startedMs
    const { user, system } = process.cpuUsage(cpuBefore)
    return { perSecond: (count / tookMs) * 1000, cpuUs: (user + system) / count }
  }
  return { measure, close: async () => void (await worker.close()) }
}

/** Runs `work` so many times, some at once. */
export async function times(count: number, work: () => Promise<unknown>, atOnce = 500): Promise<void> {
  for (let left = count; left > 0; left -= atOnce) {
    await Promise.all(Array.from({ length: Math.min(left, atOnce) }, work))
  }
}
