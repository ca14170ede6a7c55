/** The references of the lab: the numbers that must come out, and what they find in wrong decisions. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { references } from './contenders.ts'
import { EXPERIMENTS, experimentOf, LAB_BURST, LAB_LIMIT } from './experiments.ts'
import { type Bounds, bucketModel, fixedWindowModel, logModel, type Model, slidingCounterModel } from './models.ts'
import { expectedOf, outcomeOf, type Reference } from './outcome.ts'
import type { Answer } from './schedule.ts'

const { periodMs } = LAB_LIMIT
const edgeUs = 1_795_800_000 * 1_000_000
const names = Object.keys(references) as (keyof typeof references)[]

describe('what each algorithm admits when each request is on time', () => {
  const numbers = {
    edge: [
      ['fixed-window', 40, 40],
      ['sliding-window-log', 20, 20],
      ['sliding-window-counter', 22, 22],
      ['token-bucket', 23, 23],
      ['gcra', 23, 23],
      ['leaky-queue', 23, 20],
    ],
    double: [
      ['fixed-window', 100, 20],
      ['sliding-window-log', 100, 20],
      ['sliding-window-counter', 100, 20],
      ['token-bucket', 119, 39],
      ['gcra', 119, 39],
      ['leaky-queue', 119, 20],
    ],
    'at-once': names.map((name) => [name, 20, 20]),
  }

  test.each(EXPERIMENTS)('$name: the numbers of the page', (experiment) => {
    const found = names.map((name) => {
      const { onTimeCount, onTimeMostPerPeriod } = expectedOf(experiment, periodMs, references[name])
      return [name, onTimeCount, onTimeMostPerPeriod]
    })
    expect(found).toEqual(numbers[experiment.name])
  })

  test.each(EXPERIMENTS)('$name: a machine that is up to 3 ms late changes no number', (experiment) => {
    const lateness = fc.array(fc.double({ min: 0, max: 3, noNaN: true }), { minLength: 200, maxLength: 200 })
    fc.assert(
      fc.property(lateness, (lateMs) => {
        const offsetsMs = experiment.offsetsMs
          .map((offsetMs, index) => offsetMs + (lateMs[index] ?? 0))
          .toSorted((a, b) => a - b)
        const countOf = (reference: Reference, late = experiment) => expectedOf(late, periodMs, reference).onTimeCount
        const late = names.map((name) => countOf(references[name], { ...experiment, offsetsMs }))
        expect(late).toEqual(names.map((name) => countOf(references[name])))
      }),
      { numRuns: 50 },
    )
  })
})

interface Step {
  pauseUs: number
  beforeUs: number
  afterUs: number
}

/** Instants that grow, each somewhere within bounds. */
const history: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    pauseUs: fc.oneof(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 0, max: 1_200_000 })),
    beforeUs: fc.integer({ min: 0, max: 20_000 }),
    afterUs: fc.integer({ min: 0, max: 20_000 }),
  }),
  { minLength: 1, maxLength: 120 },
)

describe.each([
  ['fixed-window', () => fixedWindowModel(LAB_LIMIT)],
  ['sliding-window-log', () => logModel(LAB_LIMIT)],
  ['sliding-window-counter', () => slidingCounterModel(LAB_LIMIT)],
  ['bucket', () => bucketModel(LAB_LIMIT, LAB_BURST)],
] as const)('the model of %s', (_, model) => {
  test('leaves one decision when the instant is known', () => {
    fc.assert(
      fc.property(history, (steps) => {
        for (const { possible } of decided(model, exactInstants(steps)))
          expect(possible.admitted).toBe(!possible.refused)
      }),
    )
  })

  test('never excludes the decision of the true instant, however wide the bounds are', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const truth = decided(model, exactInstants(steps)).map(({ isAdmitted }) => isAdmitted)
        const bounded = model()
        for (const [index, at] of boundedInstants(steps).entries()) {
          const isAdmitted = truth[index] ?? false
          expect(bounded.possible(at)[isAdmitted ? 'admitted' : 'refused']).toBe(true)
          bounded.observe(at, isAdmitted)
        }
      }),
      { numRuns: 500 },
    )
  })
})

function exactInstants(steps: readonly Step[]): Bounds[] {
  let nowUs = edgeUs
  return steps.map(({ pauseUs, beforeUs, afterUs }) => {
    const atUs = nowUs + pauseUs + beforeUs
    nowUs = atUs + afterUs
    return { fromUs: atUs, toUs: atUs }
  })
}

function boundedInstants(steps: readonly Step[]): Bounds[] {
  return exactInstants(steps).map(({ fromUs, toUs }, index) => {
    const { beforeUs = 0, afterUs = 0 } = steps[index] ?? {}
    return { fromUs: fromUs - beforeUs, toUs: toUs + afterUs }
  })
}

function decided(model: () => Model, instants: readonly Bounds[]) {
  const own = model()
  return instants.map((at) => {
    const possible = own.possible(at)
    own.observe(at, possible.admitted)
    return { possible, isAdmitted: possible.admitted }
  })
}

describe('a wrong algorithm', () => {
  const edge = experimentOf('edge')
  const outcome = (reference: Reference, answers: (atUs: number, index: number) => Answer) => {
    const observations = edge.offsetsMs.map((offsetMs, index) => {
      const atUs = edgeUs + Math.round(offsetMs * 1_000)
      return { at: { fromUs: atUs - 200, toUs: atUs + 200 }, answer: answers(atUs, index) }
    })
    return outcomeOf({ experiment: edge, periodMs, reference, startUs: edgeUs - 100_000, observations })
  }
  const answering =
    (model: Model, shiftUs = 0) =>
    (atUs: number) => {
      const at = { fromUs: atUs + shiftUs, toUs: atUs + shiftUs }
      const isAdmitted = model.possible(at).admitted
      model.observe(at, isAdmitted)
      return { isAdmitted, delayMs: 0 }
    }

  test('control: the right one comes out', () => {
    expect(outcome(references.gcra, answering(bucketModel(LAB_LIMIT, LAB_BURST)))).toMatchObject({
      admittedCount: 23,
      deviations: [],
      hasComeOut: true,
    })
  })

  test('a fixed window with another edge is found at the edge that it misses', () => {
    const shifted = outcome(references['fixed-window'], answering(fixedWindowModel(LAB_LIMIT), 500_000))
    expect(shifted).toMatchObject({ admittedCount: 20, hasComeOut: false })
    expect(shifted.deviations[0]?.atMs).toBeGreaterThanOrEqual(99)
    expect(shifted.deviations[0]?.wasAdmitted).toBe(false)
  })

  test('a bucket that is one unit larger is found', () => {
    const larger = outcome(references['token-bucket'], answering(bucketModel(LAB_LIMIT, LAB_BURST + 1)))
    expect(larger).toMatchObject({ admittedCount: 24, hasComeOut: false })
  })

  test('a queue that releases all at once is found', () => {
    const eager = outcome(references['leaky-queue'], answering(bucketModel(LAB_LIMIT, LAB_BURST)))
    expect(eager).toMatchObject({ admittedCount: 23, mostPerPeriod: 23, hasComeOut: false })
  })

  test('a log that forgets nothing and admits nothing more is not found within a second, and is after it', () => {
    const double = experimentOf('double')
    let left = 20
    const observations = double.offsetsMs.map((offsetMs) => {
      const atUs = edgeUs + Math.round(offsetMs * 1_000)
      left -= 1
      return { at: { fromUs: atUs, toUs: atUs }, answer: { isAdmitted: left >= 0, delayMs: 0 } }
    })
    const reference = references['sliding-window-log']
    const { deviations } = outcomeOf({ experiment: double, periodMs, reference, startUs: edgeUs, observations })
    expect(deviations[0]?.atMs).toBeGreaterThan(1_000)
  })
})
