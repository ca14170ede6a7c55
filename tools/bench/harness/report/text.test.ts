import { describe, expect, it } from 'vitest'
import { makeResult } from './result.fixture.ts'
import { alignCells, toMarkdown, toTerminal } from './text.ts'

it('cells stand below each other: labels to the left, figures to the right', () => {
  const rows = [
    ['', 'ops/s'],
    ['a', '1'],
    ['longer', '10 k/s'],
  ]
  expect(alignCells(rows).split('\n')).toEqual(['         ops/s', 'a            1', 'longer  10 k/s'])
})

describe('a result on the terminal', () => {
  const text = toTerminal(makeResult())

  it('says with what, where and under which load it was measured', () => {
    expect(text).toContain('Run aaaa1111, 2026-11-23 10:00 UTC: medians of 3 interleaved rounds of 500 ms.')
    expect(text).toContain('A processor, 2 cores, 8 GiB, linux x64; load 1 2 3 before, 4 5 6 after.')
    expect(text).toContain('node 26.10.0, redis 7.0.15, ioredis 6.0.0')
  })

  it('has a row for each contender, with the ratio of the same round', () => {
    expect(text).toMatch(/> ours .* 70\.0 k\/s +14\.3 us +500 us +12\.0 ms +0\.75x/)
    expect(text).toMatch(/bare .* 1\.00x/)
    expect(text).toMatch(/other .* 950\/s .* 0\.01x/)
  })

  it('holds the goals against it', () => {
    expect(text).toMatch(/^met +0\.75x \(0\.72-0\.75\) bare +at least half of bare$/m)
  })

  it('warns of figures from rounds that were too short', () => {
    expect(toTerminal(makeResult({ isQuick: true }))).toContain('too short to be quoted')
  })
})

it('a result as Markdown has the same figures, and its picture', () => {
  const text = toMarkdown(makeResult())
  expect(text).toContain('![The same figures as bars](cache.svg)')
  expect(text).toContain('| **ours <&> "ours"** | 70.0 k/s | 14.3 us | 500 us | 12.0 ms | 0.75x |')
  expect(text).toContain('- met: at least half of bare (0.75x (0.72-0.75) bare)')
})
