/** Goals, held against what was measured. */

import type { Goal, Sample } from '../suite.ts'
import { median, type Ratio, ratio } from './statistics.ts'

export interface Judgement {
  text: string
  met: boolean
  /** With `than`: the ratio to the one that comes closest to breaking the goal. Otherwise the median of the figure. */
  value: Ratio
  /** The one that comes closest. */
  against?: string
}

export type Samples = Readonly<Record<string, readonly Sample[]>>

/** Undefined when one of those that it speaks of was not measured. */
export function judge(goal: Goal, samples: Samples): Judgement | undefined {
  const own = valuesOf(samples, goal.contender, goal.metric)
  if (!own) return undefined
  if (!goal.than) {
    const value = { median: median(own), low: Math.min(...own), high: Math.max(...own) }
    return { text: goal.text, met: isWithin(goal, value.median), value }
  }
  const ratios = goal.than.map((against) => {
    const others = valuesOf(samples, against, goal.metric)
    return others && { against, value: ratio(own, others) }
  })
  if (ratios.some((one) => one === undefined)) return undefined
  const [hardest] = ratios
    .filter((one) => one !== undefined)
    .sort((a, b) => margin(goal, a.value) - margin(goal, b.value))
  return hardest && { text: goal.text, met: isWithin(goal, hardest.value.median), ...hardest }
}

export function valuesOf(samples: Samples, contender: string, metric: string): number[] | undefined {
  const values = samples[contender]?.map((sample) => sample[metric])
  return values?.every((value) => value !== undefined) ? values : undefined
}

function isWithin({ atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Goal, value: number) {
  return value >= atLeast && value <= atMost
}

/** Small means near to breaking the goal. */
function margin(goal: Goal, value: Ratio): number {
  return goal.atLeast !== undefined ? value.median : -value.median
}
