/** The scripts against their references over random histories, on a real server whose clock the test sets. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Fault,
  type Found,
  type History,
  runHistories,
  type Step,
  startHistoryServer,
} from './algorithm/history.fixture.ts'
import { type Charged, type Reference, referenceOf, verdictOn } from './algorithm/reference.fixture.ts'
import { ALGORITHMS, type Algorithm, type Policy } from './algorithms.ts'

const DAY_US = 86_400_000_000
/** A window of every period below begins here. */
const START_US = 14 * 5 * 30 * DAY_US * 10

const redis = await startHistoryServer()

interface Clock {
  /** Also goes back, and ids are reset: then nothing expires. */
  isSteady: boolean
}

function historiesOf(algorithm: Algorithm, { isSteady }: Clock): fc.Arbitrary<History> {
  const isBucket = algorithm === 'gcra' || algorithm === 'token-bucket'
  const policies = fc
    .record({
      count: fc.integer({ min: 1, max: 12 }),
      periodMs: fc.constantFrom(1, 7, 1_000, 60_000, 30 * 86_400_000),
      burst: fc.integer({ min: 1, max: 15 }),
    })
    .map(({ count, periodMs, burst }): Policy => ({ algorithm, count, periodMs, burst: isBucket ? burst : count }))
  return policies.chain((policy) =>
    fc.record<History>({
      policy: fc.constant(policy),
      startUs: fc.constant(START_US),
      expires: fc.constant(isSteady),
      steps: fc.array(stepsOf(policy, isSteady), { minLength: 1, maxLength: 20 }),
    }),
  )
}

function stepsOf({ count, periodMs, burst }: Policy, isSteady: boolean): fc.Arbitrary<Step> {
  const periodUs = periodMs * 1_000
  const waits = [
    fc.constant(0),
    fc.integer({ min: 0, max: Math.ceil(periodUs / count) }),
    fc.integer({ min: 0, max: 3 * periodUs }),
  ]
  const steps = [fc.integer({ min: -3 * periodUs, max: -1 }), fc.constant(-30_000_000)]
  const rest = ['peek', 'penalize', 'refund', 'refund', 'again', ...(isSteady ? [] : ['reset'])] as Step['kind'][]
  const step = fc.record({
    kind: fc.oneof(fc.constant('check' as const), fc.constantFrom(...rest)),
    cost: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: burst + 1 })),
    waitUs: fc.oneof(...waits, ...(isSteady ? [] : steps)),
    isToEdge: fc.constant(false),
    which: fc.nat({ max: 4 }),
  })
  const toEdge = fc.record({ waitUs: fc.integer({ min: -1, max: 1 }), isToEdge: fc.constant(true) })
  return fc.oneof(
    { weight: 5, arbitrary: step },
    { weight: 1, arbitrary: fc.tuple(step, toEdge).map(([one, edge]) => ({ ...one, ...edge })) },
  )
}

/** Units that were admitted, or given back (negative). */
interface Movement {
  atUs: number
  units: number
  /** They are given back later. */
  isReturned?: boolean
}

interface Tally {
  histories: number
  admitted: number
  denied: number
  refunded: number
}

/** Throws where the script and the reference differ. Returns what was admitted and given back. */
function compare({ policy, steps }: History, found: Found[], { isSteady }: Clock): Movement[] {
  const reference = referenceOf(policy)
  const charges: (Charged & { movement: Movement; isRefunded?: boolean })[] = []
  const movements: Movement[] = []
  let asked = { cost: 1, retryAfterMs: 0 }
  for (const [i, step] of steps.entries()) {
    const [nowUs, allowed, remaining, retryAfterMs, resetAfterMs, writeCount] = found[i] as Found
    const where = `step ${i} of ${JSON.stringify({ policy, steps, found })}`
    if (step.kind === 'reset') reference.reset()
    else if (step.kind === 'refund') {
      const charge = charges[(step.which ?? 0) % charges.length]
      const isOpen = charge && !charge.isRefunded && charge.endsUs > nowUs
      const isGiven = isOpen ? reference.giveBack(nowUs, charge) : false
      if (charge && isGiven) {
        charge.isRefunded = true
        charge.movement.isReturned = true
        movements.push({ atUs: nowUs, units: -charge.units })
      }
      expect([allowed, writeCount > 0], where).toEqual([isGiven ? 1 : 0, isGiven])
    } else {
      const cost = step.kind === 'penalize' ? 1 : step.kind === 'again' ? asked.cost : step.cost
      const { isCharged, ...verdict } = decide(reference, { policy, step, cost, nowUs, id: i })
      expect({ allowed: allowed === 1, remaining, retryAfterMs, resetAfterMs }, where).toEqual(verdict)
      if (step.kind === 'again' && asked.retryAfterMs > 0) expect(allowed, where).toBe(1)
      if (isSteady && !isCharged && step.kind !== 'penalize') expect(writeCount, where).toBe(0)
      if (isCharged) {
        const movement = { atUs: nowUs, units: cost }
        movements.push(movement)
        charges.push({ ...isCharged, movement })
      }
      asked = { cost, retryAfterMs }
      continue
    }
    asked = { ...asked, retryAfterMs: 0 } // what was told no longer holds
  }
  return movements
}

interface Question {
  policy: Policy
  step: Step
  cost: number
  nowUs: number
  id: number
}

function decide(reference: Reference, { policy, step, cost, nowUs, id }: Question) {
  reference.moveTo(nowUs)
  if (step.kind === 'penalize') reference.take(nowUs, step.cost, -1)
  const verdict = verdictOn(reference, policy, nowUs, cost)
  if (!verdict.allowed || step.kind === 'peek' || step.kind === 'penalize') return { ...verdict, isCharged: undefined }
  const isCharged = reference.take(nowUs, cost, id)
  const { remaining, resetAfterMs } = verdictOn(reference, policy, nowUs, 1)
  return { ...verdict, remaining, resetAfterMs, isCharged }
}

/**
 * What counts against the limit. Windows forget a charge that is given back. A bucket makes room for it from then on, although a part
 * of it may have drained before.
 */
function countedOf({ algorithm }: Policy, movements: Movement[]): Movement[] {
  if (algorithm === 'gcra' || algorithm === 'token-bucket') return movements
  return movements.filter(({ units, isReturned }) => units > 0 && !isReturned)
}

/** The most units that any interval holds, less what `allowedIn` it: at most 0 when the limit is kept. */
function worstExcess(movements: Movement[], allowedIn: (spanUs: number) => number): number {
  let worst = Number.NEGATIVE_INFINITY
  for (let from = 0; from < movements.length; from++) {
    let units = 0
    for (const movement of movements.slice(from)) {
      units += movement.units
      worst = Math.max(worst, units - allowedIn(movement.atUs - (movements[from]?.atUs ?? 0)))
    }
  }
  return worst
}

/** Units that any interval of this length may hold. */
function promiseOf({ algorithm, count, periodMs, burst }: Policy): (spanUs: number) => number {
  const periodUs = periodMs * 1_000
  if (algorithm === 'sliding-window-log') return (spanUs) => count * (Math.floor(spanUs / periodUs) + 1)
  if (algorithm === 'fixed-window') return (spanUs) => count * (Math.floor(spanUs / periodUs) + 2)
  if (algorithm === 'sliding-window-counter') return (spanUs) => count + Math.ceil((spanUs * count) / periodUs)
  return (spanUs) => burst + (spanUs * count) / periodUs
}

async function compareAll(algorithm: Algorithm, clock: Clock, fault?: Fault) {
  const tally: Tally = { histories: 0, admitted: 0, denied: 0, refunded: 0 }
  const batches = fc.array(historiesOf(algorithm, clock), { minLength: 1, maxLength: 100, size: 'max' })
  const property = fc.asyncProperty(batches, async (histories) => {
    const { found, callCount, timeCount } = await runHistories(redis, histories, fault)
    expect(timeCount).toBe(callCount)
    for (const [i, history] of histories.entries()) {
      const results = found[i] as Found[]
      const movements = compare(history, results, clock)
      if (clock.isSteady)
        expect(worstExcess(countedOf(history.policy, movements), promiseOf(history.policy))).toBeLessThanOrEqual(0)
      tally.histories += 1
      tally.admitted += movements.filter(({ units }) => units > 0).length
      tally.refunded += movements.filter(({ units }) => units < 0).length
      tally.denied += results.filter(([, allowed, , retryAfterMs]) => allowed === 0 && retryAfterMs > 0).length
    }
  })
  const details = await fc.check(property, { numRuns: fault ? 50 : 300 })
  return { tally, details }
}

describe.each(ALGORITHMS)('%s', (algorithm) => {
  test.each([true, false])(
    'decides as its reference does (steady clock: %s)',
    { timeout: 120_000 },
    async (isSteady) => {
      const { tally, details } = await compareAll(algorithm, { isSteady })
      if (details.failed) throw new Error(fc.defaultReportMessage(details), { cause: details.errorInstance })
      expect(tally.histories).toBeGreaterThanOrEqual(10_000)
      expect(Math.min(tally.admitted, tally.denied)).toBeGreaterThan(10_000)
      expect(tally.refunded).toBeGreaterThan(1_000)
    },
  )
})

const faults: Fault[] = [
  ['gcra', 'early <= 0', 'early < 0'],
  ['gcra-refund', "if not redis.call('SET', marker", "if 'a second refund' == marker and not redis.call('SET', marker"],
  ['gcra-refund', 'or chargedTat <= now', ''],
  ['token-bucket', 'math.min(part, unit - 1)', '0'],
  ['token-bucket', 'math.max(1, resetAfterMs)', 'math.max(1, resetAfterMs / 2)'],
  ['token-bucket-refund', 'or chargedFull <= now', ''],
  ['fixed-window', 'storedStart >= start and', 'storedStart + window >= start and'],
  ['fixed-window-refund', 'start + window ~= chargedEnd', 'false'],
  ['sliding-window-counter', 'math.floor(previous * left / window)', 'math.ceil(previous * left / window)'],
  ['sliding-window-counter', 'share + 1 - math.ceil(', 'share - math.ceil('],
  ['sliding-window-counter', 'fadeUs(previous, 0, left)', 'left'],
  ['sliding-window-counter', 'math.ceil((left + window) / 1000)', 'math.ceil(left / 1000)'],
  ['sliding-window-counter-refund', 'age ~= 0 and age ~= window', 'false'],
  ['sliding-window-log', "charge .. ':' .. n", 'charge'],
  ['sliding-window-log-refund', 'removed > 0', 'true'],
]

test.each(faults)('control: a fault in %s.lua (%s) is found', { timeout: 120_000 }, async (...fault) => {
  const algorithm = ALGORITHMS.find((name) => fault[0] === name || fault[0] === `${name}-refund`)
  if (!algorithm) throw new Error(`${fault[0]} is the script of no algorithm`)
  const steady = await compareAll(algorithm, { isSteady: true }, fault)
  const unsteady = await compareAll(algorithm, { isSteady: false }, fault)
  expect(steady.details.failed || unsteady.details.failed).toBe(true)
})
