/** Four processes whose clocks are wrong by up to a minute share one limit: the server's clock alone decides. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { testRedis } from '@shop/test-kit/redis'
import { expect, onTestFinished, test } from 'vitest'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import type { Saturation, SaturatorSetup } from './saturator.fixture.ts'

const server = await testRedis()
const limit = { count: 20, periodMs: 1_000 }
const burst = 10
const shiftsMs = [-60_000, -20_000, 20_000, 60_000]

/** The most that an interval of this length may hold. */
const bounds: Record<Algorithm, (spanMs: number) => number> = {
  gcra: (spanMs) => burst + (spanMs * limit.count) / limit.periodMs,
  'token-bucket': (spanMs) => burst + (spanMs * limit.count) / limit.periodMs,
  'sliding-window-counter': (spanMs) => limit.count + Math.ceil((spanMs * limit.count) / limit.periodMs),
  'sliding-window-log': (spanMs) => limit.count * (Math.floor(spanMs / limit.periodMs) + 1),
  'fixed-window': (spanMs) => limit.count * (Math.floor(spanMs / limit.periodMs) + 2),
}

async function start(shiftMs: number, setup: SaturatorSetup) {
  const child = fork(new URL('./saturator.fixture.ts', import.meta.url), [JSON.stringify(setup)], {
    execArgv: [...process.execArgv, '--import', new URL('./skewed-clock.fixture.ts', import.meta.url).href],
    env: { ...process.env, CLOCK_SHIFT_MS: String(shiftMs) },
  })
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  await once(child, 'message')
  return child
}

test('at saturation no limit admits more than it promises; by the clocks of the clients, far more', {
  timeout: 60_000,
}, async () => {
  const setup: SaturatorSetup = {
    redisUrl: server.url,
    namespace: server.namespace(),
    algorithms: ALGORITHMS,
    limit,
    burst,
    lengthMs: 2_000,
  }
  const children = await Promise.all(shiftsMs.map((shiftMs) => start(shiftMs, setup)))
  const [startMs, startClockMs] = [performance.now(), Date.now()]
  const reports = await Promise.all(
    children.map(async (child) => {
      child.send('go')
      return ((await once(child, 'message')) as [Saturation])[0]
    }),
  )
  const spanMs = performance.now() - startMs
  const sum = (counts: 'admitted' | 'denied', name: string) =>
    reports.reduce((total, report) => total + (report[counts][name] ?? 0), 0)

  for (const [i, { clockMs }] of reports.entries()) {
    expect(Math.abs(clockMs - startClockMs - (shiftsMs[i] as number))).toBeLessThan(15_000) // the shift is in force
  }
  for (const algorithm of ALGORITHMS) {
    const bound = bounds[algorithm](spanMs)
    expect(sum('denied', algorithm), algorithm).toBeGreaterThan(200)
    expect(sum('admitted', algorithm), algorithm).toBeLessThanOrEqual(bound)
    expect(sum('admitted', algorithm), algorithm).toBeGreaterThanOrEqual(limit.count)
  }
  expect(sum('admitted', 'control')).toBeGreaterThan(2 * bounds['token-bucket'](spanMs))
})
