/** A shopper's requests, each written down with what came of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Problem } from '@shop/contracts/problem'
import { type Answer, createBrowser } from '@shop/test-kit/browser'
import { integerOf, type Random } from '@shop/test-kit/random'
import type { Entry, Outcome } from './ledger.ts'

export interface ClientOptions {
  url: string
  random: Random
  record: (entry: Entry) => void
}

const answerTimeoutMs = 10_000
/** How long a request that must come to an end is repeated. */
const patienceMs = 60_000

export function createClient({ url, random, record }: ClientOptions) {
  const browser = createBrowser(url, { timeoutMs: answerTimeoutMs })
  return { browser, ask, insist }

  /** One request. Undefined when there was no answer. */
  async function ask<Body>(route: string, send: () => Promise<Answer<Body>>): Promise<Answer<Body> | undefined> {
    const startMs = Date.now()
    let outcome: Outcome = 'no answer'
    try {
      const answer = await send()
      outcome = answer.status
      return answer
    } catch (error) {
      outcome = reasonOf(error)
      return undefined
    } finally {
      record({ route, startMs, endMs: Date.now(), outcome })
    }
  }

  /** Sends it again, until it is answered for good. Undefined when it is not within the patience. */
  async function insist<Body>(route: string, send: () => Promise<Answer<Body>>): Promise<Answer<Body> | undefined> {
    const deadlineMs = Date.now() + patienceMs
    while (Date.now() < deadlineMs) {
      const answer = await ask(route, send)
      if (answer && !isMomentary(answer)) return answer
      await sleep(integerOf(random, 300, 900))
    }
    return undefined
  }
}

function isMomentary({ status, body }: Answer<unknown>): boolean {
  return status === 429 || status >= 500 || (body as Problem | undefined)?.code === 'request-in-progress'
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no answer'
  if (error.name === 'TimeoutError') return 'timeout'
  return (error.cause as { code?: string } | undefined)?.code ?? error.message
}
