import { createRandom } from '@shop/test-kit/random'
import { describe, expect, test } from 'vitest'
import type { Instance, Listing } from './discovery.ts'
import { type Hint, parseHint } from './hint.ts'
import { createSnapshot } from './snapshot.ts'
import type { Finding } from './unlisted.ts'

const ASK_EVERY_MS = 1_000
const FORGET_AFTER_MS = 60_000

function instance(id: string, more: Partial<Instance> = {}): Instance {
  return { id, service: 'catalog', host: `host-${id}`, port: 3000, startedAtMs: 1, ...more }
}

/** Each at an address of its own, as processes are. */
function instances(ids: readonly string[]) {
  return ids.map((id) => instance(id))
}

function listing(rev: number, ...ids: string[]): Listing {
  return { rev, nowMs: 0, instances: instances(ids), overdue: [] }
}

const up = (rev: number, id: string): Hint => ({ rev, what: 'up', instance: instance(id) })
const left = (rev: number, id: string): Hint => ({ rev, what: 'left', id })
const gone = (rev: number, id: string): Hint => ({ rev, what: 'gone', id })

/** A snapshot on a clock that is moved by hand, and everything it has ever shown. */
function world() {
  const state = { nowMs: 1_000, shown: [] as string[] }
  const snapshot = createSnapshot({
    askEveryMs: ASK_EVERY_MS,
    forgetAfterMs: FORGET_AFTER_MS,
    now: () => state.nowMs,
    onChange: (instances) => state.shown.push(instances.map(({ id }) => id).join('')),
  })
  return Object.assign(state, snapshot, {
    /** Asks all that are due, a second later. */
    ask(finding: Finding, ids = 'abcdefgh') {
      state.nowMs += ASK_EVERY_MS
      const due = snapshot.dueQuestions().filter(({ id }) => ids.includes(id))
      for (const one of due) snapshot.heard(one, finding)
      return due.map(({ id }) => id).join('')
    },
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
    view.ask('silent')
    expect(view.ids()).toBe('acde')
  })
})

describe('an instance that the registry no longer lists', () => {
  const losses: Record<string, (view: ReturnType<typeof world>) => void> = {
    'because it was emptied': (view) => view.applyListing(listing(0)),
    'because it was restored from an older copy': (view) => view.applyListing(listing(7)),
    'because the records ran out': (view) =>
      view.applyListing({ rev: 10, nowMs: 0, instances: [], overdue: instances(['a', 'b']) }),
    "because another's beat removed it": (view) => {
      view.applyHint(gone(11, 'a'))
      view.applyHint(gone(12, 'b'))
    },
  }
  for (const [cause, lose] of Object.entries(losses)) {
    test(`${cause} is kept while it answers`, () => {
      const view = world()
      view.applyListing(listing(10, 'a', 'b'))
      lose(view)
      expect([view.ids(), view.keepsUnlisted()]).toEqual(['ab', true])
      for (let round = 0; round < 500; round++) expect(view.ask('answers')).toBe('ab')
      expect([view.ids(), view.shown]).toEqual(['ab', ['ab']])
      view.applyListing(listing(5_000, 'b', 'a'))
      expect([view.ids(), view.keepsUnlisted(), view.ask('silent')]).toEqual(['ab', false, ''])
    })
  }

  test('is hidden as soon as it is known to be gone, and shown again when it answers', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    view.applyHint(gone(11, 'a'))
    view.ask('silent')
    expect([view.ids(), view.keepsUnlisted()]).toEqual(['b', false])
    view.ask('answers')
    expect([view.ids(), view.keepsUnlisted()]).toEqual(['ba', true])
  })

  test('is kept after one unclear answer, which may be our own delay, and hidden after two', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    view.applyHint(gone(11, 'a'))
    view.ask('unclear')
    expect(view.ids()).toBe('ab')
    view.ask('answers')
    view.ask('unclear')
    expect(view.ids()).toBe('ab')
    view.ask('unclear')
    expect(view.ids()).toBe('b')
  })

  test('is asked less and less often while it is silent, and forgotten after a minute', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    view.applyHint(gone(11, 'a'))
    let questionCount = 0
    while (view.hasUnlisted()) questionCount += view.ask('silent').length
    expect(questionCount).toBeGreaterThan(5)
    expect(questionCount).toBeLessThan(12)
    expect(view.nowMs).toBeLessThan(2 * FORGET_AFTER_MS)
    view.applyListing(listing(11, 'b'))
    expect(view.hasUnlisted()).toBe(false)
  })

  test('is asked less often when there are many: not more than fifty questions a second in all', () => {
    const view = world()
    const ids = Array.from({ length: 5_000 }, (_, index) => `many-${index}`)
    view.applyListing(listing(10, ...ids))
    view.applyListing(listing(0))
    let questionCount = 0
    for (let second = 0; second < 200; second++) {
      view.nowMs += 1_000
      for (const one of view.dueQuestions()) {
        view.heard(one, 'answers')
        questionCount += 1
      }
    }
    expect(questionCount).toBeGreaterThanOrEqual(5_000)
    expect(questionCount).toBeLessThanOrEqual(5_000 + 50 * 200)
  })

  test('leaves at once with its goodbye', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    view.applyListing(listing(0))
    view.applyHint(left(11, 'a'))
    view.ask('answers')
    expect(view.ids()).toBe('b')
  })

  test('leaves at once when another instance listens at its address', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    view.applyHint(gone(11, 'a'))
    view.applyHint({ rev: 12, what: 'up', instance: instance('c', { host: 'host-a' }) })
    expect([view.ids(), view.ask('answers')]).toEqual(['bc', ''])
  })

  test('and was never known is shown only when it answers', () => {
    const view = world()
    view.applyListing({ rev: 10, nowMs: 0, instances: [], overdue: instances(['a', 'b']) })
    expect([view.ids(), view.keepsUnlisted()]).toEqual(['', false])
    view.ask('answers', 'a')
    expect(view.ids()).toBe('a')
  })

  test('is not touched by an answer that the registry has overtaken', () => {
    const view = world()
    view.applyListing(listing(10, 'a', 'b'))
    view.applyHint(gone(11, 'a'))
    const [asked] = view.dueQuestions()
    view.applyHint(up(12, 'a'))
    if (asked) view.heard(asked, 'silent')
    expect(view.ids()).toBe('ab')
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
      for (const one of view.dueQuestions()) view.heard(one, truth.has(one.id) ? 'answers' : 'silent')
      if (random() < 0.01) view.markUncertain()
    }
    for (let quiet = 0; quiet < 50; quiet++) {
      view.nowMs += 6_000
      for (const one of view.dueQuestions()) view.heard(one, truth.has(one.id) ? 'answers' : 'silent')
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
