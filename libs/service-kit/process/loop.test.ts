import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLog } from '../telemetry/log.ts'
import { startLoops } from './loop.ts'

const lines: string[] = []
const log = createLog({ service: 'test', instanceId: '1', destination: { write: (line) => void lines.push(line) } })
const logged = () => lines.map((line) => JSON.parse(line))

beforeEach(() => {
  lines.length = 0
  vi.spyOn(Math, 'random').mockReturnValue(0.999)
})
afterEach(() => void vi.restoreAllMocks())

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))

test('a loop that fails is started again after pauses that grow up to a cap', async () => {
  const { promise: wellAtLast, resolve } = Promise.withResolvers<void>()
  let runs = 0
  const loops = startLoops(
    [
      {
        name: 'relay',
        async run(signal) {
          runs += 1
          if (runs <= 4) throw new Error(`failure ${runs}`)
          resolve()
          await untilAborted(signal)
        },
      },
    ],
    log,
    { baseMs: 30, capMs: 100 },
  )
  await wellAtLast
  await loops.stop()
  expect(logged().map(({ loop, err, pauseMs }) => [loop, err.message, pauseMs])).toEqual([
    ['relay', 'failure 1', 30],
    ['relay', 'failure 2', 60],
    ['relay', 'failure 3', 100],
    ['relay', 'failure 4', 100],
  ])
})

test('a loop that waits for a dependency is a warning, and any other failure an error', async () => {
  const failures = [Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }), new Error('a bug')]
  const { promise: done, resolve } = Promise.withResolvers<void>()
  const run = async (signal: AbortSignal) => {
    const failure = failures.shift()
    if (failure !== undefined) throw failure
    resolve()
    await untilAborted(signal)
  }
  const loops = startLoops([{ name: 'relay', run }], log, { baseMs: 20 })
  await done
  await loops.stop()
  expect(logged().map(({ level, msg, err }) => [level, msg, 'stack' in err])).toEqual([
    ['warn', 'loop paused: a dependency is not available', false],
    ['error', 'loop failed', true],
  ])
})

test('one that ran well for a while starts anew with short pauses', async () => {
  const { promise: third, resolve } = Promise.withResolvers<void>()
  let runs = 0
  const run = async (signal: AbortSignal) => {
    runs += 1
    if (runs === 3) {
      resolve()
      return untilAborted(signal)
    }
    throw new Error('failed')
  }
  const loops = startLoops([{ name: 'relay', run }], log, { baseMs: 30, healthyAfterMs: 0 })
  await third
  await loops.stop()
  expect(logged().map(({ pauseMs }) => pauseMs)).toEqual([30, 30])
})

test('one that ends by itself is not left ended', async () => {
  const { promise: second, resolve } = Promise.withResolvers<void>()
  let runs = 0
  const run = async (signal: AbortSignal) => {
    runs += 1
    if (runs === 1) return
    resolve()
    await untilAborted(signal)
  }
  const loops = startLoops([{ name: 'relay', run }], log, { baseMs: 20 })
  await second
  await loops.stop()
  expect(logged()).toMatchObject([{ msg: 'loop ended without a stop' }])
})

test('stopping waits until each loop has finished what it holds', async () => {
  const events: string[] = []
  const run = async (signal: AbortSignal) => {
    await untilAborted(signal)
    events.push('told')
    await new Promise((resolve) => setImmediate(resolve))
    events.push('finished')
  }
  await startLoops([{ name: 'relay', run }], log).stop()
  expect(events).toEqual(['told', 'finished'])
  expect(logged()).toEqual([])
})

test('stopping does not wait for the end of a pause', async () => {
  const { promise: failed, resolve } = Promise.withResolvers<void>()
  const run = async () => {
    resolve()
    throw new Error('failed')
  }
  const loops = startLoops([{ name: 'relay', run }], log, { baseMs: 60_000, capMs: 60_000 })
  await failed
  await loops.stop()
})

test('that a loop was interrupted by stopping is no failure, but another error then is', async () => {
  const interrupted = {
    name: 'a',
    run: (signal: AbortSignal) => untilAborted(signal).then(() => signal.throwIfAborted()),
  }
  const broken = {
    name: 'b',
    run: (signal: AbortSignal) => untilAborted(signal).then(() => Promise.reject(new Error('broke'))),
  }
  await startLoops([interrupted, broken], log).stop()
  expect(logged()).toMatchObject([{ loop: 'b', msg: 'loop failed while stopping' }])
})
