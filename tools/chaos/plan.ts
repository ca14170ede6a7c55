/**
 * What goes wrong, when, and for how long: a pure function of the seed. The machine decides what the faults meet, so a seed repeats
 * the faults of a run and not each of its interleavings.
 */
import { serviceNames } from '@shop/contracts/services'
import { createRandom, integerOf, oneOf, type Random } from '@shop/test-kit/random'
import { findInstances, type Instance } from '../stack/services/instances.ts'

const redisTargets = ['redis-cache', 'redis-state'] as const
export type RedisTarget = (typeof redisTargets)[number]
export type ServerTarget = RedisTarget | 'postgres'
/** An instance of a service, or a server. */
export type Target = Instance['name'] | ServerTarget

const instanceNames = serviceNames.map((name) => findInstances(name, 'the plan').map((instance) => instance.name))
/** Of each service that has several. */
const replicated = instanceNames.filter(({ length }) => length > 1)
const single = instanceNames.filter(({ length }) => length === 1).flat()

/**
 * kill: SIGKILL · freeze: SIGSTOP, then SIGCONT · cut: bytes vanish and no connection is closed · reset: all connections are reset ·
 * slow: stopped and continued in short turns, as by a disk that stalls · the others: the server answers and refuses to write.
 */
const serviceFaults = ['kill', 'freeze'] as const
const redisFaults = ['kill', 'freeze', 'cut', 'reset', 'slow', 'oom', 'readonly', 'noreplicas'] as const
const postgresFaults = ['kill', 'freeze', 'cut', 'reset', 'slow', 'read-only'] as const
export type Fault = (typeof serviceFaults)[number] | (typeof redisFaults)[number] | (typeof postgresFaults)[number]

export interface Incident {
  /** Since the start of the run. */
  startMs: number
  /** How long the cause lasts. Zero for a kill and a reset, which are over at once. */
  durationMs: number
  fault: Fault
  target: Target
}

/** The wait before the first fault, and between the end of one and the start of the next: the shop has time to recover. */
const quietMs = { min: 9_000, max: 14_000 }
const longestFaultMs = { min: 2_000, max: 9_000 }
/** One incident of five comes with a second one, which starts while the first lasts. */
const pairShare = 0.2

/**
 * The faults of a run of `totalMs`, in the order of their start. Every fault of every kind of target is drawn once before one is drawn
 * again. The last one ends at least `quietMs.min` before the end.
 */
export function planIncidents(seed: number, totalMs: number): Incident[] {
  const random = createRandom(seed)
  const draw = createDeck(random)
  const incidents: Incident[] = []
  for (let atMs = pause(random); ; ) {
    const first = incidentAt(atMs, draw(), random)
    const pair = random() < pairShare ? [incidentAt(atMs + 500, draw(), random)] : []
    const together = [first, ...pair].filter(({ target }, i, all) => i === 0 || target !== all[0]?.target)
    const endMs = Math.max(...together.map(({ startMs, durationMs }) => startMs + durationMs))
    if (endMs + quietMs.min > totalMs) return incidents
    incidents.push(...together)
    atMs = endMs + pause(random)
  }
}

type Cause = Pick<Incident, 'fault' | 'target'>

/** All causes, shuffled; a new shuffle when all are drawn. Each fault of the services hits one of them at a time. */
function createDeck(random: Random): () => Cause {
  let cards: Cause[] = []
  return () => {
    if (cards.length === 0) cards = shuffled(random, freshCauses(random))
    return cards.pop() as Cause
  }
}

function freshCauses(random: Random): Cause[] {
  return [
    ...serviceFaults.flatMap((fault) =>
      [...replicated, single].map((targets) => ({ fault, target: oneOf(random, targets) })),
    ),
    ...redisTargets.flatMap((target) => redisFaults.map((fault) => ({ fault, target }))),
    ...postgresFaults.map((fault) => ({ fault, target: 'postgres' as const })),
  ]
}

function incidentAt(startMs: number, cause: Cause, random: Random): Incident {
  const isInstant = cause.fault === 'kill' || cause.fault === 'reset'
  const durationMs = integerOf(random, longestFaultMs.min, longestFaultMs.max)
  return { startMs, durationMs: isInstant ? 0 : durationMs, ...cause }
}

function pause(random: Random): number {
  return integerOf(random, quietMs.min, quietMs.max)
}

/** Fisher and Yates. */
function shuffled<Item>(random: Random, items: readonly Item[]): Item[] {
  const result = [...items]
  for (let last = result.length - 1; last > 0; last--) {
    const other = integerOf(random, 0, last)
    ;[result[last], result[other]] = [result[other] as Item, result[last] as Item]
  }
  return result
}
