import { expect, test } from 'vitest'
import { createSlots } from './slots.ts'

test('each name has its own places, and one more than there are is refused', () => {
  const { take } = createSlots(2)
  expect([take('a'), take('a'), take('a')].map((leave) => leave !== undefined)).toEqual([true, true, false])
  expect(take('b')).toBeDefined()
})

test('a place that is given back is free for the next', () => {
  const { take } = createSlots(1)
  take('a')?.()
  expect(take('a')).toBeDefined()
})

test('a place is given back once', () => {
  const { take, count } = createSlots(2)
  const leave = take('a')
  take('a')
  leave?.()
  leave?.()
  expect(count()).toBe(1)
})

test('the count is over all names', () => {
  const { take, count } = createSlots(1)
  const leaves = ['a', 'b', 'c'].map(take)
  expect(count()).toBe(3)
  for (const leave of leaves) leave?.()
  expect(count()).toBe(0)
})

test('a number of places that changes decides about the next, and takes no place away', () => {
  let maxCount = 2
  const { take, count } = createSlots(() => maxCount)
  const leave = take('a')
  take('a')
  maxCount = 1
  leave?.()
  expect([count(), take('a')]).toEqual([1, undefined])
  maxCount = 3
  expect(take('a')).toBeDefined()
})
