import { expect, test } from 'vitest'
import { createLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { createHealth } from './health.ts'
import { type Loop, startLoops } from './loop.ts'
import { createLoopHealth } from './loop-health.ts'

const log = createLog({ service: 'test', instanceId: '1', level: 'silent' })

function setUp() {
  const health = createHealth([], { cacheMs: 0 })
  const metrics = createMetrics({ service: 'test', instanceId: '1' })
  const watch = createLoopHealth({ health, metrics })
  const lineOf = async (metric: string) =>
    (await metrics.page()).text.split('\n').find((line) => line.startsWith(`${metric}{`))
  return { health, watch, lineOf }
}

const denied = Object.assign(new Error("NOPERM this user has no permissions to run the 'xreadgroup' command"), {
  name: 'ReplyError',
})

test('a loop that fails for ever makes its service degraded, with the reason, and shows in the metrics', async () => {
  const { health, watch, lineOf } = setUp()
  const { promise: third, resolve } = Promise.withResolvers<void>()
  let runCount = 0
  const run = async () => {
    if (++runCount === 3) resolve()
    throw denied
  }
  const loops = startLoops([{ name: 'stock-events', run }], log, { baseMs: 20, watch })
  await third
  expect(await health.ready()).toMatchObject({
    status: 'degraded',
    checks: [{ name: 'loop:stock-events', ok: false, required: false, error: 'NOPERM' }],
  })
  expect(await lineOf('loop_failing')).toMatch(/loop="stock-events".*} 1$/)
  expect(Number((await lineOf('loop_failures_total'))?.split(' ').at(-1))).toBeGreaterThanOrEqual(2)
  await loops.stop()
})

test('a service whose main job is the loop is unready while it fails', async () => {
  const { health, watch } = setUp()
  const pulse = watch({ name: 'counting', required: true })
  expect(await health.ready()).toMatchObject({ status: 'ready' })
  pulse.failed(denied)
  expect(await health.ready()).toMatchObject({ status: 'unready', checks: [{ error: 'NOPERM' }] })
  pulse.ok()
  expect(await health.ready()).toMatchObject({ status: 'ready' })
})

test('a failure stands from one run of a loop to the next, until a round works', async () => {
  const { health, watch, lineOf } = setUp()
  const [second, worked] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const work = Promise.withResolvers<void>()
  let runCount = 0
  const loop: Loop = {
    name: 'janitor',
    async run(signal, pulse) {
      if (++runCount === 1) throw denied
      second.resolve()
      await work.promise
      pulse.ok()
      worked.resolve()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
  }
  const loops = startLoops([loop], log, { baseMs: 20, watch })
  await second.promise
  expect(await health.ready()).toMatchObject({ status: 'degraded' })
  work.resolve()
  await worked.promise
  expect(await health.ready()).toMatchObject({ status: 'ready', checks: [{ name: 'loop:janitor', ok: true }] })
  expect(await lineOf('loop_failing')).toMatch(/ 0$/)
  expect(await lineOf('loop_failures_total')).toMatch(/ 1$/)
  await loops.stop()
})

test('a part that fails is not made good by the parts that work', async () => {
  const { health, watch, lineOf } = setUp()
  const pulse = watch({ name: 'order-events' })
  pulse.failed(denied, 'partition 1')
  pulse.failed(denied) // the loop ends because of it: one failure, not two
  pulse.ok('partition 0')
  expect(await health.ready()).toMatchObject({ status: 'degraded' })
  expect(await lineOf('loop_failures_total')).toMatch(/ 1$/)
  pulse.ok('partition 1')
  expect(await health.ready()).toMatchObject({ status: 'ready' })
})
