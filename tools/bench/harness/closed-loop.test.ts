import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { closedLoop } from './closed-loop.ts'

const plan = { durationMs: 100, round: 0 }

it('as many operations are under way as there are callers, and each is counted', async () => {
  let running = 0
  let most = 0
  let count = 0
  const operate = async () => {
    running += 1
    most = Math.max(most, running)
    await sleep(1)
    running -= 1
    count += 1
  }
  const sample = await closedLoop(operate, plan, { callerCount: 8 })
  expect(most).toBe(8)
  expect(sample.perSecond).toBeLessThanOrEqual(count / 0.1)
  expect(sample.perSecond).toBeGreaterThan(0)
  expect(sample.p50Us).toBeGreaterThan(900)
  expect(sample.p99Us).toBeGreaterThanOrEqual(sample.p50Us as number)
})

it('operations that wait for nothing end in time, and let the event loop turn', async () => {
  let turns = 0
  const turning = setInterval(() => turns++, 1)
  const sample = await closedLoop(async () => undefined, plan, { sampleEvery: 100 })
  clearInterval(turning)
  expect(turns).toBeGreaterThan(5)
  expect(sample.perSecond).toBeGreaterThan(1000)
})

it('an operation that fails ends the measurement', async () => {
  await expect(closedLoop(() => Promise.reject(new Error('no answer')), plan)).rejects.toThrow('no answer')
})
