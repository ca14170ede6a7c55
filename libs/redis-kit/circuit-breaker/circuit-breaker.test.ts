import { createRandom } from '@shop/test-kit/random'
import CircuitBreaker from 'opossum'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Breaker, type BreakerChange, BreakerOpen, BreakerTimeout, createBreaker } from './circuit-breaker.ts'
import { createReferenceModel, type Outcome } from './reference-model.fixture.ts'

class Down extends Error {}
class Refused extends Error {}

const isFailure = (error: unknown) => error instanceof Down || error instanceof BreakerTimeout
const policy = { windowMs: 10_000, minimumCount: 6, failureRatio: 0.5, openMs: 2_000, probes: 3, timeoutMs: 300 }
const fails = () => Promise.reject(new Down('down'))
const works = () => Promise.resolve('ok')
const hangs = () => new Promise<never>(() => {})
const breakers: Breaker[] = []

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(async () => {
  for (const breaker of breakers.splice(0)) breaker.close()
  await vi.advanceTimersByTimeAsync(policy.timeoutMs) // calls still running end by their own deadline
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  vi.useRealTimers()
})

function breakerOf(options: Partial<Parameters<typeof createBreaker>[0]> = {}) {
  const breaker = createBreaker({ name: 'dependency', isFailure, ...policy, ...options })
  breakers.push(breaker)
  return breaker
}

async function trip(breaker: Breaker) {
  for (let call = 0; call < 20 && breaker.state() === 'closed'; call++) {
    await expect(breaker.run(fails)).rejects.toThrow(Down)
  }
  expect(breaker.state()).toBe('open')
}

async function halfOpen(breaker: Breaker) {
  await trip(breaker)
  await vi.advanceTimersByTimeAsync(policy.openMs)
  expect(breaker.state()).toBe('half-open')
}

describe('closed', () => {
  test('a few failures below the minimum count do not trip it', async () => {
    const breaker = breakerOf()
    for (let call = 0; call < policy.minimumCount - 1; call++) await expect(breaker.run(fails)).rejects.toThrow(Down)
    expect(breaker.state()).toBe('closed')
  })

  test('it trips at exactly the ratio, and not below', async () => {
    const below = breakerOf({ minimumCount: 20 })
    for (let call = 0; call < 11; call++) await below.run(works)
    for (let call = 0; call < 9; call++) await expect(below.run(fails)).rejects.toThrow(Down)
    expect(below.state()).toBe('closed')

    const at = breakerOf({ minimumCount: 20 })
    for (let call = 0; call < 10; call++) await at.run(works)
    for (let call = 0; call < 10; call++) await expect(at.run(fails)).rejects.toThrow(Down)
    expect(at.state()).toBe('open')
  })

  test('errors that say nothing about the dependency never trip it and reach the caller unchanged', async () => {
    const breaker = breakerOf()
    const refused = new Refused('WRONGTYPE')
    for (let call = 0; call < 100; call++) {
      await expect(breaker.run(() => Promise.reject(refused))).rejects.toBe(refused)
    }
    expect(breaker.state()).toBe('closed')
  })

  test('failures older than the window are forgotten', async () => {
    const breaker = breakerOf()
    for (let call = 0; call < policy.minimumCount - 1; call++) await expect(breaker.run(fails)).rejects.toThrow(Down)
    await vi.advanceTimersByTimeAsync(policy.windowMs + 1_000)
    await expect(breaker.run(fails)).rejects.toThrow(Down)
    expect(breaker.state()).toBe('closed')
  })

  test('work past its deadline is aborted, and only that work', async () => {
    const breaker = breakerOf()
    const signals: AbortSignal[] = []
    const slow = breaker.run((signal) => {
      signals.push(signal)
      return hangs()
    })
    const settled = expect(slow).rejects.toThrow(BreakerTimeout)
    await vi.advanceTimersByTimeAsync(policy.timeoutMs - 1)
    const second = breaker.run(async (signal) => {
      signals.push(signal)
      return 'second'
    })
    await expect(second).resolves.toBe('second')
    await vi.advanceTimersByTimeAsync(1)
    await settled
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false])
    expect(signals[0]?.reason).toBeInstanceOf(BreakerTimeout)
  })

  test('a classifier that throws counts as a failure instead of leaving the caller without an answer', async () => {
    const breaker = breakerOf({
      isFailure: () => {
        throw new TypeError('a bug')
      },
    })
    for (let call = 0; call < policy.minimumCount; call++) await expect(breaker.run(fails)).rejects.toThrow(Down)
    expect(breaker.state()).toBe('open')
  })
})

describe('open', () => {
  test('work is refused without being done, with the time after which to come back', async () => {
    const breaker = breakerOf()
    await trip(breaker)
    await vi.advanceTimersByTimeAsync(500)
    const work = vi.fn(works)
    const error = await breaker.run(work).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(BreakerOpen)
    expect((error as BreakerOpen).retryAfterMs).toBe(1_500)
    expect(work).not.toHaveBeenCalled()
  })

  test('every change of state is told, in order', async () => {
    const changes: BreakerChange[] = []
    const breaker = breakerOf({ onStateChange: (change) => changes.push(change) })
    await halfOpen(breaker)
    await expect(breaker.run(fails)).rejects.toThrow(Down)
    await vi.advanceTimersByTimeAsync(policy.openMs)
    for (let probe = 0; probe < policy.probes; probe++) await breaker.run(works)
    const path = changes.map(({ from, to }) => `${from} > ${to}`)
    expect(path).toEqual([
      'closed > open',
      'open > half-open',
      'half-open > open',
      'open > half-open',
      'half-open > closed',
    ])
  })

  test('a breaker that was closed down refuses for ever and keeps no timer', async () => {
    const breaker = breakerOf()
    await trip(breaker)
    breaker.close()
    await vi.advanceTimersByTimeAsync(60_000)
    await expect(breaker.run(works)).rejects.toThrow(BreakerOpen)
  })
})

describe('half-open', () => {
  test('exactly N probes are let through at a time', async () => {
    const breaker = breakerOf()
    await halfOpen(breaker)
    const answers = await Promise.allSettled(Array.from({ length: 50 }, () => breaker.run(works)))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(policy.probes)
    expect(breaker.state()).toBe('closed')
  })

  test('it stays half-open until all N have succeeded', async () => {
    const breaker = breakerOf()
    await halfOpen(breaker)
    await breaker.run(works)
    await breaker.run(works)
    expect(breaker.state()).toBe('half-open')
    await breaker.run(works)
    expect(breaker.state()).toBe('closed')
  })

  test('one failed probe opens it again for a whole openMs', async () => {
    const breaker = breakerOf()
    await halfOpen(breaker)
    await breaker.run(works)
    await expect(breaker.run(fails)).rejects.toThrow(Down)
    expect(breaker.state()).toBe('open')
    await vi.advanceTimersByTimeAsync(policy.openMs - 1)
    expect(breaker.state()).toBe('open')
    await vi.advanceTimersByTimeAsync(1)
    expect(breaker.state()).toBe('half-open')
  })

  test('a probe that hangs is aborted at its deadline and cannot keep it half-open, even without timeoutMs', async () => {
    const breaker = breakerOf({ timeoutMs: undefined, probeTimeoutMs: 400 })
    await halfOpen(breaker)
    let signal: AbortSignal | undefined
    const probe = breaker.run((given) => {
      signal = given
      return hangs()
    })
    const settled = expect(probe).rejects.toThrow(BreakerTimeout)
    await vi.advanceTimersByTimeAsync(400)
    await settled
    expect(signal?.aborted).toBe(true)
    expect(breaker.state()).toBe('open')
  })

  test('control: opossum itself stays half-open for ever behind a probe that hangs', async () => {
    const opossum = new CircuitBreaker((work: () => Promise<unknown>) => work(), {
      timeout: false,
      resetTimeout: policy.openMs,
      enableSnapshots: false,
    })
    await expect(opossum.fire(fails)).rejects.toThrow(Down)
    await vi.advanceTimersByTimeAsync(policy.openMs)
    void opossum.fire(hangs)
    await vi.advanceTimersByTimeAsync(3_600_000)
    await expect(opossum.fire(works)).rejects.toThrow('Breaker is open')
    expect(opossum.halfOpen).toBe(true)
    opossum.shutdown()
  })

  test('a probe cancelled by its caller gives its place back and is no verdict', async () => {
    const breaker = breakerOf()
    await halfOpen(breaker)
    const abort = () => Promise.reject(new DOMException('the shopper left', 'AbortError'))
    for (let probe = 0; probe < 10; probe++) await expect(breaker.run(abort)).rejects.toThrow('the shopper left')
    expect(breaker.state()).toBe('half-open')
  })

  test('an answer to a call from before the outage decides nothing', async () => {
    const breaker = breakerOf({ timeoutMs: undefined })
    const late = Promise.withResolvers<string>()
    const lateFailure = Promise.withResolvers<string>()
    const first = breaker.run(() => late.promise)
    const second = breaker.run(() => lateFailure.promise)
    await halfOpen(breaker)
    late.resolve('at last')
    lateFailure.reject(new Down('at last'))
    await expect(first).resolves.toBe('at last')
    await expect(second).rejects.toThrow(Down)
    expect(breaker.state()).toBe('half-open')
  })

  test('after recovery the failures from before the outage no longer count', async () => {
    const breaker = breakerOf()
    await halfOpen(breaker)
    for (let probe = 0; probe < policy.probes; probe++) await breaker.run(works)
    for (let call = 0; call < policy.minimumCount - 1; call++) await expect(breaker.run(fails)).rejects.toThrow(Down)
    expect(breaker.state()).toBe('closed')
  })
})

describe('against the reference model, with random histories', () => {
  test('every call is let through, refused and timed out exactly as the model says', async () => {
    const seen = { closed: 0, open: 0, 'half-open': 0, timedOut: 0 }
    for (let seed = 1; seed <= 60; seed++) {
      const breaker = breakerOf()
      const difference = await differenceFromModel(breaker, seed, seen)
      expect(difference, `seed ${seed}`).toBeUndefined()
    }
    expect(Math.min(...Object.values(seen)), 'the histories visit every state').toBeGreaterThan(200)
  })

  test('control: opossum with one probe does not pass the same check', async () => {
    const differences: unknown[] = []
    for (let seed = 1; seed <= 10; seed++) {
      const breaker = plainOpossum()
      breakers.push(breaker)
      differences.push(await differenceFromModel(breaker, seed))
    }
    expect(differences.filter(Boolean).length).toBeGreaterThan(5)
  })
})

function plainOpossum(): Breaker {
  const opossum = new CircuitBreaker((work: () => Promise<unknown>) => work(), {
    timeout: policy.timeoutMs,
    volumeThreshold: policy.minimumCount,
    errorThresholdPercentage: policy.failureRatio * 100 - 1e-9,
    resetTimeout: policy.openMs,
    errorFilter: (error) => !(error instanceof Down) && error.code !== 'ETIMEDOUT',
    enableSnapshots: false,
  })
  return {
    run: async (work) => (await opossum.fire(() => work(AbortSignal.abort()))) as never,
    state: () => (opossum.halfOpen ? 'half-open' : opossum.opened ? 'open' : 'closed'),
    close: () => opossum.shutdown(),
  }
}

type Seen = Record<'closed' | 'open' | 'half-open' | 'timedOut', number>

/** One random history over the breaker and the model side by side; what first differs, or nothing. */
async function differenceFromModel(breaker: Breaker, seed: number, seen?: Seen) {
  const random = createRandom(seed)
  const model = createReferenceModel(policy, performance.now())
  const running = new Map<number, { settle: (outcome: Outcome) => void; ended: Promise<string> }>()
  const sickness = () => 0.15 + 0.7 * Number(Math.floor(performance.now() / 9_000) % 2)
  for (let step = 0; step < 300; step++) {
    const dice = random()
    if (dice < 0.55) {
      const call = startCall(breaker)
      if (model.start(step) !== call.started())
        return `step ${step}: ${model.state()} lets through or refuses otherwise`
      if (call.started()) running.set(step, call)
    } else if (dice < 0.85 && running.size > 0) {
      const id = [...running.keys()][Math.floor(random() * running.size)] ?? -1
      const outcome: Outcome =
        random() < sickness() ? 'failed' : random() < 0.8 ? 'succeeded' : random() < 0.5 ? 'harmless' : 'cancelled'
      running.get(id)?.settle(outcome)
      running.delete(id)
      model.finish(id, outcome)
      await vi.advanceTimersByTimeAsync(0)
    } else {
      const forMs = Math.floor(random() * 250)
      await vi.advanceTimersByTimeAsync(forMs)
      for (const id of model.advance(performance.now())) {
        if ((await running.get(id)?.ended) !== 'timed out') return `step ${step}: call ${id} should have timed out`
        if (seen) seen.timedOut++
        running.delete(id)
      }
    }
    if (model.state() !== breaker.state()) return `step ${step}: ${breaker.state()} instead of ${model.state()}`
    if (seen) seen[model.state()]++
  }
  return undefined
}

function startCall(breaker: Breaker) {
  const answer = Promise.withResolvers<string>()
  let started = false
  const ended = breaker
    .run(() => {
      started = true
      return answer.promise
    })
    .then(
      () => 'succeeded',
      (error) => (error instanceof BreakerTimeout || error.code === 'ETIMEDOUT' ? 'timed out' : 'failed'),
    )
  const settle = (outcome: Outcome) => {
    if (outcome === 'succeeded') answer.resolve('ok')
    else if (outcome === 'failed') answer.reject(new Down('down'))
    else if (outcome === 'harmless') answer.reject(new Refused('refused'))
    else answer.reject(new DOMException('cancelled', 'AbortError'))
  }
  return { started: () => started, settle, ended }
}

test.each(['timeoutMs', 'probeTimeoutMs', 'windowMs', 'openMs', 'minimumCount', 'probes', 'failureRatio'])(
  'a number that makes no sense is refused when the breaker is made: %s',
  (option) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1, 2 ** 60]) {
      const options = { name: 'test', isFailure: () => true, [option]: value }
      expect(() => createBreaker(options)).toThrow(option)
    }
  },
)
