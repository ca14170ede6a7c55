/** Asks the instances that the registry does not list whether they are there, until it lists them again or they are forgotten. */
import { createBulkhead } from '../flow/bulkhead.ts'
import { withDeadline } from '../flow/deadline.ts'
import { atMost } from '../flow/jitter.ts'
import type { Instance } from './instance.ts'
import type { Snapshot } from './snapshot.ts'
import type { Finding } from './unlisted.ts'

export interface InquiryOptions {
  /** See DirectoryOptions. */
  answers: (instance: Instance, signal: AbortSignal) => Promise<boolean>
  everyMs: number
  random: () => number
}

const ANSWER_TIMEOUT_MS = 1_000
const MAX_AT_ONCE = 32

export function createInquiry(snapshot: Snapshot, { answers, everyMs, random }: InquiryOptions) {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let isStopped = false
  const questions = createBulkhead({
    maxRunningCount: MAX_AT_ONCE,
    maxQueuedCount: Number.POSITIVE_INFINITY, // one round's: a registry lists 5,000 instances at most
    refusal: () => new Error('no room for a question'),
  })
  return { run, stop }

  /** Asks all that are due; resolves with the last answer. One round at a time. Never rejects. */
  function run(): Promise<void> {
    clearTimeout(timer)
    running ??= askAll().finally(() => {
      running = undefined
      if (!isStopped && snapshot.hasUnlisted()) timer = setTimeout(run, atMost(everyMs, 0.5, random)).unref()
    })
    return running
  }

  async function askAll() {
    const askInTurn = async (instance: Instance) => {
      if (!isStopped) snapshot.heard(instance, await ask(instance))
    }
    await Promise.all(snapshot.dueQuestions().map((instance) => questions.run(() => askInTurn(instance))))
  }

  async function ask(instance: Instance): Promise<Finding> {
    const late = () => new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)
    try {
      const isThere = await withDeadline((signal) => answers(instance, signal), { ms: ANSWER_TIMEOUT_MS, late })
      return isThere ? 'answers' : 'silent'
    } catch {
      return 'unclear'
    }
  }

  function stop() {
    isStopped = true
    clearTimeout(timer)
  }
}
