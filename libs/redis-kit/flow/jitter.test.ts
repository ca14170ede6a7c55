import { expect, test } from 'vitest'
import { about, atMost } from './jitter.ts'

const least = () => 0
const most = () => 1 - Number.EPSILON

test('a time is moved by a share to both sides', () => {
  expect([about(1_000, 0.25, least), about(1_000, 0.25, most)].map(Math.round)).toEqual([750, 1_250])
})

test('a time that others rely on is only made shorter', () => {
  expect([atMost(1_000, 0.3, least), atMost(1_000, 0.3, most)].map(Math.round)).toEqual([700, 1_000])
  for (let round = 0; round < 1_000; round++) expect(atMost(1_000, 0.3)).toBeLessThan(1_000)
})

test('without a share a time stays as it is', () => {
  expect([about(1_000, 0), atMost(1_000, 0)]).toEqual([1_000, 1_000])
})
