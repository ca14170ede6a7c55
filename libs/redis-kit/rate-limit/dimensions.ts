/**
 * Several limits on one request: by address, by user, by API key, per minute and per day. Their keys lie in different hash slots, so
 * no script can take them together. All are asked in the same turn: where they share a node they share a packet and a round trip.
 * When one refuses, what the others took is given back.
 */
import { checkNumbers, MAX_TIMER_MS } from '../number-options.ts'
import type { Charge, Decision, Policy, RateLimit } from './rate-limit.ts'

/** One limit that applies to this request. A dimension may have several: one per minute and one per day. */
export interface Question {
  /** Names the answer, in headers for instance. */
  name: string
  limit: RateLimit
  id: string
  /** @default 1 */
  cost?: number
}

/** One limit's decision with what a header needs. */
export interface NamedDecision {
  name: string
  policy: Policy
  decision: Decision
}

export interface JointDecision {
  /** True when every limit admits. */
  allowed: boolean
  /** The longest wait among the limits that refuse; -1 when a cost never fits, 0 when admitted. */
  retryAfterMs: number
  /**
   * Every limit that was asked, in the order of the questions, admitted or not. After a refusal, what was given back counts as
   * remaining again. When this process knew of denials it asked none: then only those.
   */
  decisions: NamedDecision[]
}

export interface RateLimits {
  /** Charges every limit or none. Rejects for what is no outage: a bad cost, no permission; then nothing stays charged either. */
  check(questions: readonly Question[]): Promise<JointDecision>
}

/**
 * `deadlineMs` is for all limits together, the refunds after a refusal included: they are sent in any case, and awaited until then.
 *
 * Not atomic: while a request that will be refused is on its way, others miss what it takes. Per id that is at most the cost of the
 * requests in flight, for a round trip or two. Longer only when Redis fails in between: a charge whose answer or refund is lost stays
 * until time gives it back.
 *
 * A degraded limit counts as its `onUnavailable` says. One that fails closed refuses the request, and the others get their charge
 * back; one that fails open or local leaves the decision to the others. What `local` took in this process is given back as well.
 */
export function createRateLimits({ deadlineMs = 50 }: { deadlineMs?: number } = {}): RateLimits {
  checkNumbers('rate limits', { deadlineMs }, { deadlineMs: { min: 1, max: MAX_TIMER_MS } })
  return { check }

  async function check(questions: readonly Question[]): Promise<JointDecision> {
    const known = questions.flatMap((question) => {
      const decision = question.limit.knownDenial(question.id, question.cost)
      return decision ? [{ question, decision }] : []
    })
    if (known.length > 0) return jointly(known)
    const endMs = performance.now() + deadlineMs
    const answers = await askAll(questions, deadlineMs)
    if (answers.every(({ decision }) => decision.allowed)) return jointly(answers)
    return jointly(await giveBack(answers, endMs))
  }
}

interface Answer {
  question: Question
  decision: Decision
}

/** Nothing is awaited between the questions. If one is a mistake, the charges of the others are given back before it is thrown. */
async function askAll(questions: readonly Question[], deadlineMs: number): Promise<Answer[]> {
  const asked = questions.map(async (question) => {
    const { limit, id, cost } = question
    return { question, decision: await limit.check(id, cost, deadlineMs) }
  })
  const settled = await Promise.allSettled(asked)
  const answers = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const mistake = settled.find((one) => one.status === 'rejected')
  if (!mistake) return answers
  await giveBack(answers, performance.now() + deadlineMs)
  throw mistake.reason
}

function giveBack(answers: Answer[], endMs: number): Promise<Answer[]> {
  const leftMs = Math.max(1, endMs - performance.now())
  return Promise.all(
    answers.map(async ({ question, decision }) => {
      const { charge, ...rest } = decision
      if (!charge || !(await question.limit.refund(question.id, charge, leftMs))) return { question, decision: rest }
      return { question, decision: withoutCharge(rest, charge) }
    }),
  )
}

function withoutCharge(decision: Decision, { cost }: Charge): Decision {
  return { ...decision, remaining: decision.remaining + cost }
}

function jointly(answers: Answer[]): JointDecision {
  const refusals = answers.flatMap(({ decision }) => (decision.allowed ? [] : [decision.retryAfterMs]))
  return {
    allowed: refusals.length === 0,
    retryAfterMs: refusals.includes(-1) ? -1 : Math.max(0, ...refusals),
    decisions: answers.map(({ question: { name, limit }, decision }) => ({ name, policy: limit.policy, decision })),
  }
}
