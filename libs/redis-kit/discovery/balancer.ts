/**
 * Which instance gets the next call. Two candidates at random, the better one wins (power of two choices), by expected cost:
 * latency * (calls in flight + 1) / weight. Instances that fail are ejected for a while, newcomers start slowly, and there is
 * always an answer as long as there is an instance.
 *
 *     const pick = balancer.pick()
 *     if (!pick) throw new ServiceUnavailable('catalog')
 *     try { …; pick.done('ok') } catch { pick.done('failed') }
 */
import { checkNumbers } from '../number-options.ts'
import {
  type Call,
  createEndpoint,
  type Endpoint,
  type EndpointOptions,
  eject,
  latency,
  type Outcome,
  score,
  settle,
  share,
} from './endpoint.ts'
import type { Instance } from './instance.ts'

export type { Outcome } from './endpoint.ts'

export interface BalancerOptions extends Partial<EndpointOptions> {
  /** `round-robin` is for callers that compare, or whose instances and calls are all alike. @default 'p2c' */
  policy?: 'p2c' | 'round-robin'
  /** Never more than this share of the instances is ejected. @default 0.5 */
  maxEjectedRatio?: number
  /** When fewer than this share is left, all are tried again: better the sick than a handful of overloaded ones. @default 0.5 */
  panicRatio?: number
  /** @default Math.random */
  random?: () => number
  /** Monotonic clock, ms. @default performance.now */
  now?: () => number
}

export interface Pick {
  readonly instance: Instance
  /** The head of the answer has come: the latency is what it took until now. Optional. */
  responded(): void
  /** The call has ended. Saying it twice is harmless, forgetting it is forgotten after maxCallMs. */
  done(outcome: Outcome): void
}

export interface Balancer {
  /** @param exclude ids of instances not to choose, as those tried before. Undefined: nobody is left. */
  pick(exclude?: ReadonlySet<string>): Pick | undefined
  /** For a console and for metrics. */
  inspect(): { id: string; inFlightCount: number; latencyMs: number; isEjected: boolean; share: number }[]
}

type Settings = Required<BalancerOptions>

const defaults: Settings = {
  policy: 'p2c',
  maxFailures: 5,
  ejectionMs: 1_000,
  maxEjectionMs: 60_000,
  slowStartMs: 10_000,
  decayMs: 10_000,
  maxCallMs: 300_000,
  maxEjectedRatio: 0.5,
  panicRatio: 0.5,
  random: Math.random,
  now: () => performance.now(),
}

/** What the first instances are taken to need, before anything was measured. */
const FIRST_LATENCY_MS = 10

/** @param source its `instances` answers the same array until something changes, as a directory's does */
export function createBalancer(
  source: { instances: () => readonly Instance[] },
  options: BalancerOptions = {},
): Balancer {
  checkNumbers('balancer', options, {
    maxFailures: { min: 1, isWhole: true },
    ejectionMs: { min: 0 },
    maxEjectionMs: { min: 0 },
    slowStartMs: { min: 0 },
    decayMs: { min: 1 },
    maxCallMs: { min: 1, max: Number.POSITIVE_INFINITY },
    maxEjectedRatio: { min: 0, max: 1 },
    panicRatio: { min: 0, max: 1 },
  })
  const settings = { ...defaults, ...options }
  const { now, random } = settings
  const ejected = new Set<Endpoint>()
  let known: readonly Instance[] = []
  let endpoints: Endpoint[] = []
  let turn = Math.floor(random() * 1_000_000)
  return { pick, inspect }

  function pick(exclude?: ReadonlySet<string>): Pick | undefined {
    const nowMs = now()
    refresh(nowMs)
    const isPanic = endpoints.length - ejected.size < endpoints.length * settings.panicRatio
    const isCandidate = (endpoint: Endpoint) =>
      (isPanic || !ejected.has(endpoint)) && !exclude?.has(endpoint.instance.id)
    const chosen = choose(nowMs, isCandidate) ?? choose(nowMs, ({ instance }) => !exclude?.has(instance.id))
    return chosen && begin(chosen, nowMs)
  }

  function choose(nowMs: number, isCandidate: (endpoint: Endpoint) => boolean): Endpoint | undefined {
    if (settings.policy === 'round-robin') return nextFrom(endpoints, turn++, isCandidate)
    const first = someFrom(endpoints, random, isCandidate)
    if (!first) return undefined
    const second = someFrom(endpoints, random, (endpoint) => endpoint !== first && isCandidate(endpoint))
    return second ? better([first, second], nowMs, settings) : first
  }

  function begin(endpoint: Endpoint, nowMs: number): Pick {
    const call: Call = { startedAtMs: nowMs, respondedAtMs: undefined }
    endpoint.calls.add(call)
    return {
      instance: endpoint.instance,
      responded() {
        call.respondedAtMs ??= now()
      },
      done(outcome) {
        if (!endpoint.calls.delete(call)) return
        const endMs = now()
        if (settle(endpoint, { call, outcome, nowMs: endMs }, settings)) tryEject(endpoint, endMs)
      },
    }
  }

  function tryEject(endpoint: Endpoint, nowMs: number) {
    if (ejected.has(endpoint) || !endpoints.includes(endpoint)) return
    if (ejected.size + 1 > endpoints.length * settings.maxEjectedRatio) return
    eject(endpoint, nowMs, settings)
    ejected.add(endpoint)
  }

  function refresh(nowMs: number) {
    const instances = source.instances()
    if (instances !== known) {
      endpoints = endpointsOf(instances, endpoints, { nowMs, settings })
      for (const endpoint of ejected) if (!endpoints.includes(endpoint)) ejected.delete(endpoint)
      known = instances
    }
    for (const endpoint of ejected) {
      if (nowMs < endpoint.ejectedUntilMs) continue
      ejected.delete(endpoint) // back on trial: as slowly as a newcomer, and one failure sends it away for twice as long
      Object.assign(endpoint, {
        newSinceMs: nowMs,
        latencyMs: medianLatency(endpoints, nowMs, settings),
        observedAtMs: nowMs,
      })
    }
  }

  function inspect() {
    const nowMs = now()
    refresh(nowMs)
    return endpoints.map((endpoint) => ({
      id: endpoint.instance.id,
      inFlightCount: endpoint.calls.size,
      latencyMs: latency(endpoint, nowMs, settings.decayMs),
      isEjected: ejected.has(endpoint),
      share: share(endpoint, nowMs, settings),
    }))
  }
}

/**
 * Keeps what is known of instances that stay. One that comes later starts at the median, with a small share: starting at zero
 * would draw every caller to it at once. The very first instances have nobody to be compared with.
 */
function endpointsOf(
  instances: readonly Instance[],
  before: Endpoint[],
  { nowMs, settings }: { nowMs: number; settings: Settings },
): Endpoint[] {
  const known = new Map(before.map((endpoint) => [endpoint.instance.id, endpoint]))
  const latencyMs = medianLatency(before, nowMs, settings)
  const newSinceMs = before.length > 0 ? nowMs : Number.NEGATIVE_INFINITY
  return instances.map((instance) => {
    const endpoint = known.get(instance.id)
    if (!endpoint || !isSameProcess(endpoint.instance, instance)) {
      return createEndpoint(instance, { latencyMs, observedAtMs: nowMs, newSinceMs })
    }
    return endpoint.instance === instance ? endpoint : Object.assign(endpoint, { instance })
  })
}

function isSameProcess(a: Instance, b: Instance) {
  return a.startedAtMs === b.startedAtMs && a.host === b.host && a.port === b.port
}

function medianLatency(endpoints: Endpoint[], nowMs: number, { decayMs }: Settings): number {
  const sorted = endpoints.map((endpoint) => latency(endpoint, nowMs, decayMs)).sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? FIRST_LATENCY_MS
}

/** The cheaper of two; but a newcomer that would win passes on what is above its share. */
function better([a, b]: readonly [Endpoint, Endpoint], nowMs: number, settings: Settings): Endpoint {
  const [winner, loser] = score(a, nowMs, settings) <= score(b, nowMs, settings) ? [a, b] : [b, a]
  const winnerShare = share(winner, nowMs, settings)
  return winnerShare < 1 && settings.random() >= winnerShare ? loser : winner
}

/** A random one. A few throws of the dice nearly always find one; if not, everybody is asked, from a random place on. */
function someFrom(endpoints: Endpoint[], random: () => number, isCandidate: (endpoint: Endpoint) => boolean) {
  for (let tries = 0; tries < 4; tries++) {
    const endpoint = endpoints[Math.floor(random() * endpoints.length)]
    if (endpoint && isCandidate(endpoint)) return endpoint
  }
  return nextFrom(endpoints, Math.floor(random() * endpoints.length), isCandidate)
}

function nextFrom(endpoints: Endpoint[], from: number, isCandidate: (endpoint: Endpoint) => boolean) {
  for (let step = 0; step < endpoints.length; step++) {
    const endpoint = endpoints[(from + step) % endpoints.length]
    if (endpoint && isCandidate(endpoint)) return endpoint
  }
  return undefined
}
