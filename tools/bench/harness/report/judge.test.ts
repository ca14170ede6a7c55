import { describe, expect, it } from 'vitest'
import type { Goal } from '../suite.ts'
import { judge } from './judge.ts'

const samples = {
  ours: [{ perSecond: 200 }, { perSecond: 100 }, { perSecond: 220 }],
  slow: [{ perSecond: 50 }, { perSecond: 25 }, { perSecond: 55 }],
  fast: [{ perSecond: 160 }, { perSecond: 80 }, { perSecond: 160 }],
}
const goal: Goal = { text: 'at least twice every peer', metric: 'perSecond', contender: 'ours', than: ['slow', 'fast'] }

describe('a goal against others', () => {
  it('is decided by the one that comes closest', () => {
    expect(judge({ ...goal, atLeast: 1.25 }, samples)).toMatchObject({
      met: true,
      against: 'fast',
      value: { median: 1.25 },
    })
    expect(judge({ ...goal, atLeast: 1.3 }, samples)).toMatchObject({ met: false, against: 'fast' })
  })

  it('that wants less is decided by the one of which ours is the most', () => {
    expect(judge({ ...goal, atMost: 1.3 }, samples)).toMatchObject({
      met: false,
      against: 'slow',
      value: { median: 4 },
    })
  })

  it('is not decided when one of them was not measured', () => {
    expect(judge({ ...goal, than: ['fast', 'absent'], atLeast: 1 }, samples)).toBeUndefined()
    expect(judge({ ...goal, contender: 'absent', atLeast: 1 }, samples)).toBeUndefined()
    expect(judge({ ...goal, metric: 'absent', atLeast: 1 }, samples)).toBeUndefined()
  })
})

it('a goal without others is decided by the median of the figure, and shows its extremes', () => {
  const alone: Goal = { text: 'at least 200', metric: 'perSecond', contender: 'ours', atLeast: 200 }
  expect(judge(alone, samples)).toEqual({
    text: 'at least 200',
    met: true,
    value: { median: 200, low: 100, high: 220 },
  })
  expect(judge({ ...alone, atLeast: 201 }, samples)?.met).toBe(false)
})
