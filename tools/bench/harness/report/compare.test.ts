import { describe, expect, it } from 'vitest'
import { compare } from './compare.ts'
import { makeResult } from './result.fixture.ts'

const one = makeResult()
const another = makeResult({
  runId: 'bbbb2222',
  load: { before: [9, 9, 9], after: [9, 9, 9] },
  versions: { node: '26.10.0', redis: '8.0.1', ioredis: '6.0.0' },
})

describe('two runs', () => {
  const { isRefused, text } = compare(one, another)

  it('are not compared, and it says why', () => {
    expect(isRefused).toBe(true)
    expect(text).toContain('Not compared: these are two runs')
    expect(text).toContain('drift by 20 to 40 %')
    expect(text).toContain('they differ in: load 1 and 9; redis 7.0.15 and 8.0.1.')
  })

  it('show none of their absolute figures, not even beside the ratios that may be asked for', () => {
    const withRatios = compare(one, another, { withRatios: true })
    expect(withRatios.isRefused).toBe(false)
    expect(withRatios.text).toContain('0.75x (0.72-0.75)')
    for (const shown of [text, withRatios.text]) expect(shown).not.toMatch(/k\/s| us/)
  })
})

it('results of one run are compared figure by figure', () => {
  const { isRefused, text } = compare(one, makeResult())
  expect(isRefused).toBe(false)
  expect(text).toMatch(/ours .* 70\.0 k\/s .* 70\.0 k\/s/)
})
