import { createRandom } from '@shop/test-kit/random'
import { describe, expect, test } from 'vitest'
import type { Instance, Listing } from './discovery.ts'
import { type Hint, parseHint } from './hint.ts'
import { createSnapshot } from './snapshot.ts'

const TTL_MS = 6_000

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return { id, service: 'catalog', host: '10.0.0.1', port: 3000, startedAtMs: 1, ...more }
}

function listing(rev: number, ...ids: string[]): Listing {
  return { rev, nowMs: 0, instances: ids.map((id) => instance(id)) }
}

const up = (rev: number, id: string): Hint => ({ rev, what: 'up', instance: instance(id) })
const left = (rev: number, id: string): Hint => ({ rev, what: 'left', id })
const gone = (rev: number, id: string): Hint => ({ rev, what: 'gone', id })

/** A snapshot on a clock that is moved by hand, and everything it has ever shown. */
function world() {
  const state = { nowMs: 1_000, shown: [] as string[] }
  const snapshot = createSnapshot({
    ttlMs: TTL_MS,
    now: () => state.nowMs,
    onChange: (instances) => state.shown.push(instances.map(({ id }) => id).join('')),
  })
  return Object.assign(state, snapshot, {
    ids: () =>
      snapshot
        .instances()
        .map(({ id }) => id)
        .join(''),
  })
}

describe('hints', () => {
  test('are applied in order, each with the next number', () => {
    const view = world()
    view.applyListing(listing(10, 'a'))
    expect([view.applyHint(up(11, 'b')), view.applyHint(up(12, 'c')), view.applyHint(left(13, 'a'))]).toEqual([
      'applied',
      'applied',
      'applied',
    ])
    expect([view.ids(), view.rev()]).toEqual(['bc', 13])
  })

  test('that the listing already contains are old', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    expect(view.applyHint(left(10, 'b'))).toBe('old')
    expect(view.ids()).toBe('ab')
  })

  test('after a hole say gap, and what they say counts all the same', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    expect(view.applyHint(left(12, 'b'))).toBe('gap')
    expect([view.ids(), view.rev()]).toEqual(['a', undefined])
  })

  test('that overtake a listing make it outdated instead of being undone by it', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    view.expectListing()
    const onItsWay = listing(10, 'a', 'b')
    view.applyHint(left(11, 'b'))
    expect(view.applyListing(onItsWay)).toBe('outdated')
    expect(view.ids()).toBe('a')
    view.expectListing()
    expect(view.applyListing(listing(11, 'a'))).toBe('applied')
  })

  test('are parsed from their text; anything else is no hint', () => {
    expect(parseHint('12 left a-1')).toEqual(left(12, 'a-1'))
    expect(parseHint(`13 up ${JSON.stringify(instance('b'))}`)).toEqual(up(13, 'b'))
    for (const text of ['', 'left a', '12 left', '12 gone ', '12 up {', '12 up {"id":1}', 'x left a', '1 dance a']) {
      expect(parseHint(text), text).toBeUndefined()
    }
  })
})

describe('the array', () => {
  test('stays the same as long as nothing changes, and so do the instances', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    const before = view.instances()
    view.applyListing(listing(10, 'b', 'a'))
    view.applyHint({ rev: 11, what: 'up', instance: instance('a') })
    expect(view.instances()).toBe(before)
    expect(Object.isFrozen(before)).toBe(true)
    view.applyHint({ rev: 12, what: 'up', instance: instance('a', { weight: 2 }) })
    expect(view.instances()[0]?.weight).toBe(2)
    expect(view.instances()[1]).toBe(before[1])
  })

  test('keeps the order of those who stay', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b', 'c', 'd'))
    view.applyListing(listing(14, 'e', 'd', 'c', 'a'))
    expect(view.ids()).toBe('acde')
  })
})

describe('doubt', () => {
  test('without a sign of trouble a listing is believed, even an empty one', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b', 'c'))
    view.applyListing(listing(13))
    expect(view.ids()).toBe('')
  })

  test('after an outage an empty listing, or one with less than half, adds and does not remove', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b', 'c', 'd'))
    view.suspect()
    view.applyListing(listing(10))
    expect([view.ids(), view.isHolding(), view.rev()]).toEqual(['abcd', true, undefined])
    view.applyListing(listing(11, 'e'))
    expect(view.ids()).toBe('abcde')
  })

  test('half of the instances is believed', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b', 'c', 'd'))
    view.suspect()
    view.applyListing(listing(10, 'a', 'b'))
    expect([view.ids(), view.isHolding()]).toEqual(['ab', false])
  })

  test('it ends after a TTL and a beat: then what is gone is gone', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b', 'c', 'd'))
    view.suspect()
    view.applyListing(listing(10))
    expect(view.doubtUntilMs() - view.nowMs).toBe(TTL_MS + TTL_MS / 3)
    view.nowMs = view.doubtUntilMs()
    view.applyListing(listing(10))
    expect([view.ids(), view.isHolding()]).toEqual(['', false])
  })

  test('a registry that lost its data is a sign of trouble by itself', () => {
    const lost = world()
    lost.applyListing(listing(10, 'a', 'b', 'c'))
    lost.applyListing(listing(0))
    expect(lost.ids()).toBe('abc')

    const restored = world() // from an older copy
    restored.applyListing(listing(10, 'a', 'b', 'c'))
    restored.applyListing(listing(7, 'a'))
    expect(restored.ids()).toBe('abc')

    const begunAnew = world() // and the first that registered again is told
    begunAnew.applyListing(listing(10, 'a', 'b', 'c'))
    expect(begunAnew.applyHint(up(5_000, 'a'))).toBe('gap')
    begunAnew.applyListing(listing(5_000, 'a'))
    expect([begunAnew.ids(), begunAnew.shown]).toEqual(['abc', ['abc']])
  })

  test('a service that nobody registered for yet is no loss', () => {
    const view = world()
    view.applyListing(listing(0))
    view.applyHint(up(5_000, 'a'))
    view.applyListing(listing(5_000, 'a'))
    view.applyHint(gone(5_001, 'a'))
    expect(view.ids()).toBe('')
  })

  test('in doubt a goodbye still counts at once, a silence does not', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b', 'c'))
    view.suspect()
    view.applyListing(listing(10, 'a', 'b', 'c'))
    view.applyHint(left(11, 'a'))
    view.applyHint(gone(12, 'b'))
    expect([view.ids(), view.isHolding()]).toEqual(['bc', true])
    view.nowMs = view.doubtUntilMs()
    view.applyHint(gone(13, 'c'))
    expect(view.ids()).toBe('b')
    view.applyListing(listing(13))
    expect(view.ids()).toBe('')
  })
})

describe('with random losses, delays and repetitions', () => {
  /** A registry, a channel that loses hints, listings that take their time. Then quiet, and a last look. */
  function run(seed: number, { isGapIgnored = false } = {}) {
    const random = createRandom(seed)
    const view = world()
    const truth = new Set<string>()
    const channel: Hint[] = []
    let rev = 100
    let isLookDue = true
    let reply: Listing | undefined
    const ask = () => {
      view.expectListing()
      reply = listing(rev, ...truth)
      isLookDue = false
    }
    const answer = () => {
      if (reply && view.applyListing(reply) === 'outdated') isLookDue = true
      reply = undefined
    }
    const hear = () => {
      const hint = channel.shift()
      if (hint && view.applyHint(hint) === 'gap' && !isGapIgnored) isLookDue = true
    }
    for (let step = 0; step < 400; step++) {
      view.nowMs += random() * 400
      const dice = random()
      const id = String.fromCharCode(97 + Math.floor(random() * 8))
      if (dice < 0.3) {
        const hint: Hint = truth.has(id) ? (random() < 0.5 ? left : gone)(++rev, id) : up(++rev, id)
        if (!truth.delete(id)) truth.add(id)
        if (random() > 0.1) channel.push(hint)
      } else if (dice < 0.7) hear()
      else if (reply) answer()
      else if (isLookDue) ask()
      if (random() < 0.01) view.suspect()
    }
    for (let quiet = 0; quiet < 50; quiet++) {
      view.nowMs += TTL_MS
      hear()
      if (reply) answer()
      else if (isLookDue || (view.rev() !== rev && !isGapIgnored)) ask()
    }
    return { seen: [...view.ids()].sort().join(''), true: [...truth].sort().join('') }
  }

  test('it ends up with the truth', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const result = run(seed)
      expect(result.seen, `seed ${seed}`).toBe(result.true)
    }
  })

  test('control: ignoring the holes in the numbers, it does not', () => {
    const results = Array.from({ length: 50 }, (_, seed) => run(seed + 1, { isGapIgnored: true }))
    expect(results.filter((result) => result.seen !== result.true).length).toBeGreaterThan(10)
  })
})
