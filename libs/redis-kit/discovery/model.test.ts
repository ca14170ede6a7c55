/**
 * A model of a registry, its instances and one caller, under random interleavings: beats in any order, kills, restarts, goodbyes,
 * a registry that is emptied or refuses beats for a while. The caller's part is the real one.
 */
import { createRandom, oneOf } from '@shop/test-kit/random'
import { expect, test } from 'vitest'
import type { Instance } from './discovery.ts'
import type { Hint } from './hint.ts'
import { createSnapshot } from './snapshot.ts'

const TTL_MS = 6_000
const RUN_COUNT = 200

/** As beat.lua, leave.lua and list.lua have it. */
function modelRegistry(tell: (hint: Hint) => void) {
  const expiry = new Map<string, number>()
  const records = new Map<string, Instance>()
  const state = { rev: 0, refuses: false }
  return { state, beat, leave, list, empty, toggle }

  function beat(instance: Instance, nowMs: number) {
    if (state.refuses) return
    if (state.rev === 0) state.rev = nowMs * 1_000
    const isNew = !((expiry.get(instance.id) ?? 0) > nowMs)
    expiry.set(instance.id, nowMs + TTL_MS)
    records.set(instance.id, instance)
    if (isNew) tell({ rev: ++state.rev, what: 'up', instance })
    for (const [id, endMs] of expiry) if (endMs <= nowMs) drop(id, 'gone')
  }

  function leave(id: string) {
    if (!state.refuses && records.has(id)) drop(id, 'left')
  }

  function drop(id: string, what: 'gone' | 'left') {
    expiry.delete(id)
    records.delete(id)
    tell({ rev: ++state.rev, what, id })
  }

  function list(nowMs: number) {
    const instances = [...records.values()]
    const isLiving = ({ id }: Instance) => (expiry.get(id) ?? 0) > nowMs
    return {
      rev: state.rev,
      nowMs,
      instances: instances.filter(isLiving),
      overdue: instances.filter((one) => !isLiving(one)),
    }
  }

  /** Refuses writes, or takes them again. */
  function toggle() {
    state.refuses = !state.refuses
  }

  function empty() {
    expiry.clear()
    records.clear()
    state.rev = 0
  }
}

interface Run {
  /** Instances that were alive and known, and missing from the caller's list all the same. */
  missing: string[]
  /** What the caller has at the end, when all is quiet, and what is true. */
  end: string
  truth: string
}

/** @param asks whether the caller asks the instances; without, what is not listed is taken for dead: the control */
function run(seed: number, size: number, { asks = true } = {}): Run {
  const random = createRandom(seed)
  let nowMs = 1_000
  const channel: Hint[] = []
  const registry = modelRegistry((hint) => random() < 0.9 && channel.push(hint))
  const snapshot = createSnapshot({ askEveryMs: 1_000, forgetAfterMs: 60_000, onChange() {}, now: () => nowMs })
  const alive = new Map<string, Instance>()
  const known = new Set<string>()
  const missing: string[] = []
  let startedCount = 0
  for (let index = 0; index < size; index++) startOne()
  for (const one of alive.values()) registry.beat(one, nowMs)
  look()

  const steps: [weight: number, act: () => void][] = [
    [40, wait],
    [20, () => alive.size > 0 && registry.beat(oneOf(random, [...alive.values()]), nowMs)],
    [20, look],
    [20, ask],
    [10, hear],
    [2, registry.empty],
    [2, registry.toggle],
    [1, kill],
    [1, goodbye],
    [1, startOne],
  ]
  const wheel = steps.flatMap(([weight, act]) => Array.from({ length: weight }, () => act))
  for (let step = 0; step < 1_000; step++) {
    oneOf(random, wheel)()
    checkKnown()
  }
  settleDown()
  const ids = (list: Iterable<Instance>) =>
    [...list]
      .map(({ id }) => id)
      .toSorted()
      .join()
  return { missing, end: ids(snapshot.instances()), truth: ids(alive.values()) }

  function wait() {
    nowMs += random() * 1_000
  }

  function startOne() {
    if (alive.size >= size) return
    const id = `i${++startedCount}`
    alive.set(id, { id, service: 'catalog', host: id, port: 1, startedAtMs: nowMs })
  }

  function kill() {
    if (alive.size > 0) end(oneOf(random, [...alive.keys()]))
  }

  function goodbye() {
    if (alive.size === 0) return
    const id = oneOf(random, [...alive.keys()])
    registry.leave(id)
    end(id)
  }

  function end(id: string) {
    alive.delete(id)
    known.delete(id)
  }

  function look() {
    snapshot.expectListing()
    snapshot.applyListing(registry.list(nowMs))
  }

  function hear() {
    const hint = channel.shift()
    if (hint) snapshot.applyHint(hint)
  }

  function ask() {
    for (const one of snapshot.dueQuestions()) snapshot.heard(one, asks && alive.has(one.id) ? 'answers' : 'silent')
  }

  function checkKnown() {
    const shown = new Set(snapshot.instances().map(({ id }) => id))
    for (const id of known) if (!shown.has(id)) missing.push(id)
    for (const id of shown) if (alive.has(id)) known.add(id)
  }

  function settleDown() {
    registry.state.refuses = false
    for (let round = 0; round < 20; round++) {
      nowMs += 1_000
      for (const one of alive.values()) registry.beat(one, nowMs)
      while (channel.length > 0) hear()
      look()
      ask()
      checkKnown()
    }
  }
}

for (let size = 1; size <= 6; size++) {
  test(`a caller of ${size} never loses an instance that is alive, and ends up with the truth`, () => {
    for (let seed = 1; seed <= RUN_COUNT; seed++) {
      const { missing, end, truth } = run(seed, size)
      expect({ missing, end }, `seed ${seed}`).toEqual({ missing: [], end: truth })
    }
  })

  test(`control: a caller of ${size} that takes absence for death loses some`, () => {
    const runs = Array.from({ length: RUN_COUNT }, (_, seed) => run(seed + 1, size, { asks: false }))
    expect(runs.filter(({ missing }) => missing.length > 0).length).toBeGreaterThan(RUN_COUNT / 10)
  })
}
