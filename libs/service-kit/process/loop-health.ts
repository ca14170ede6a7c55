/**
 * Which loops of a process fail, for /health/ready and Prometheus. All loops are watched, whatever they do with their failures: one
 * that is restarted, and one that goes on by itself and only writes a log line.
 *
 * A loop that fails makes its service degraded and not unready: orders are still taken while the stock's events cannot be read, and
 * an orchestrator that takes the instance away repairs no missing right. A service whose main job is the loop says `required`.
 */
import type { Pulse } from '@shop/redis-kit/flow/pulse'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Health } from './health.ts'

export interface WatchedLoop {
  name: string
  required?: boolean
}

/** Begins to watch a loop. */
export type Watch = (loop: WatchedLoop) => Pulse

interface State {
  failureCount: number
  /** The last error of each failing part; '' is the loop as a whole. */
  failing: Map<string, unknown>
}

/** A loop has a handful of parts; a name that changes each time would be a leak. */
const maxParts = 100
const whole = ''

export function createLoopHealth({ health, metrics }: { health: Health; metrics: Metrics }): Watch {
  const states = new Map<string, State>()
  declare(metrics, states)
  return watch

  function watch({ name, required = false }: WatchedLoop): Pulse {
    const state: State = { failureCount: 0, failing: new Map() }
    states.set(name, state)
    health.add({ name: `loop:${name}`, required, check: () => check(state) })
    return { ok: (part) => succeed(state, part), failed: (error, part) => fail(state, error, part) }
  }
}

async function check({ failing }: State): Promise<void> {
  for (const error of failing.values()) throw error
}

/** Called for each message of a stream, so the usual case costs nothing. A part that works is also proof that the loop runs. */
function succeed({ failing }: State, part = whole): void {
  if (failing.size === 0) return
  failing.delete(part)
  failing.delete(whole)
}

/** A loop that ends because of a part says the same error twice: it stays the part's. */
function fail(state: State, error: unknown, part = whole): void {
  const { failing } = state
  if (part === whole && [...failing].some(([name, known]) => name !== whole && known === error)) return
  state.failureCount += 1
  if (failing.has(part) || failing.size < maxParts) failing.set(part, error)
}

function declare(metrics: Metrics, states: ReadonlyMap<string, State>): void {
  metrics.extend((prom, registers) => {
    new prom.Gauge({
      name: 'loop_failing',
      help: '1 while a background loop fails: its last round, or a part of it, failed',
      labelNames: ['loop'],
      registers,
      collect() {
        for (const [loop, { failing }] of states) this.set({ loop }, failing.size > 0 ? 1 : 0)
      },
    })
    new prom.Counter({
      name: 'loop_failures_total',
      help: 'Failed rounds of background loops',
      labelNames: ['loop'],
      registers,
      collect() {
        this.reset()
        for (const [loop, { failureCount }] of states) this.inc({ loop }, failureCount)
      },
    })
  })
}
