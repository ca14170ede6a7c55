import { describe, expect, it } from 'vitest'
import { median, quantile, ratio, shuffled } from './statistics.ts'

describe('a median', () => {
  it('is the middle one, or the mean of the middle two, in whatever order they come', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([9, 1, 5, 3])).toBe(4)
  })

  it('is not moved by one round that went wrong, as a mean is', () => {
    expect(median([10, 11, 10, 1_000, 10])).toBe(10)
  })

  it('of nothing is refused instead of being 0', () => {
    expect(() => median([])).toThrow(RangeError)
  })

  it('does not reorder what it is given', () => {
    const values = [3, 1, 2]
    median(values)
    expect(values).toEqual([3, 1, 2])
  })
})

it('a quantile lies between the ranks beside it', () => {
  expect(quantile([0, 10, 20, 30, 40], 0.25)).toBe(10)
  expect(quantile([0, 10], 0.25)).toBe(2.5)
  expect(quantile([7], 0.9)).toBe(7)
})

describe('a ratio', () => {
  it('is made round by round: a machine that gets slower for both does not change it', () => {
    const ours = [200, 100, 50, 20, 10]
    const theirs = [100, 50, 25, 10, 5]
    expect(ratio(ours, theirs)).toEqual({ median: 2, low: 2, high: 2 })
  })

  it('of two medians would not be the same, which is why it is not made of them', () => {
    const ours = [100, 10, 90]
    const theirs = [50, 5, 10]
    expect(ratio(ours, theirs).median).toBe(2)
    expect(median(ours) / median(theirs)).toBe(9)
  })

  it('of rounds that do not belong together is refused', () => {
    expect(() => ratio([1, 2], [1])).toThrow(RangeError)
  })
})

describe('the order of a round', () => {
  it('has everybody in it once, and nobody always after the same one', () => {
    const followers = new Set<string>()
    for (let round = 0; round < 200; round++) {
      const order = shuffled(['a', 'b', 'c', 'd'])
      expect(order.toSorted()).toEqual(['a', 'b', 'c', 'd'])
      for (const [index, item] of order.entries()) if (index > 0) followers.add(`${order[index - 1]}${item}`)
    }
    expect(followers.size).toBe(12)
  })

  it('of nobody is empty', () => {
    expect(shuffled([])).toEqual([])
  })
})
