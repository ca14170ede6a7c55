/** Several messages in one hand: to be finished together, or each by itself. */
import type { Message } from './message.ts'

export interface Batch {
  /** At least one. Each may also be acked, failed or rejected by itself. */
  readonly messages: readonly Message[]
  /** Those that are not settled yet are done. Returns how many of them were still ours. */
  ack(): Promise<number>
  /** Those that are not settled yet did not work: each is tried again or given up, as by `message.fail`. */
  fail(error: unknown): Promise<void>
}

export function toBatch(messages: readonly Message[]): Batch {
  return {
    messages,
    async ack() {
      const acks = await Promise.all(messages.map((message) => message.ack()))
      return acks.filter((isDone) => isDone).length
    },
    async fail(error) {
      await Promise.all(messages.map((message) => message.fail(error)))
    },
  }
}
