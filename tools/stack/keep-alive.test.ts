import { expect, test } from 'vitest'
import { keepAlive, type Running } from './keep-alive.ts'

/** A process that tests end by hand, or let fail to start. */
function rig({ restartLimit = 3, waitScale = 0.001 } = {}) {
  const lines: string[] = []
  const givenUp: string[] = []
  const ends: ((how: string) => void)[] = []
  const starts: (() => void)[] = []
  const failures: Error[] = []
  const supervisor = {
    report: (line: string) => void lines.push(line),
    onGivenUp: (name: string) => void givenUp.push(name),
    restartLimit,
    waitScale,
  }
  const newProcess = (): Running => ({ exited: new Promise((resolve) => ends.push(resolve)) })
  const kept = keepAlive('catalog-1', newProcess(), start, supervisor)
  return { kept, lines, givenUp, failures, started, end: (how = 'SIGKILL') => ends.at(-1)?.(how) }

  async function start() {
    const failure = failures.shift()
    const running = failure === undefined ? newProcess() : undefined
    starts.shift()?.()
    if (running === undefined) throw failure
    return running
  }
  /** Resolves at the next attempt to start it. */
  function started(): Promise<void> {
    return new Promise((resolve) => starts.push(resolve))
  }
}

const waits = (lines: string[]) => lines.map((line) => /in ([\d.]+) s/.exec(line)?.[1])

test('a start that fails counts like a death, and the waits double', async () => {
  const { kept, lines, givenUp, failures, started, end } = rig({ restartLimit: 10 })
  failures.push(...Array.from({ length: 7 }, () => new Error('no port')))
  const attempts = Promise.all(Array.from({ length: 8 }, started))
  end()
  await attempts
  expect(waits(lines)).toEqual(['1', '2', '4', '8', '16', '30', '30', '30'])
  expect(lines[0]).toBe('catalog-1 died (SIGKILL); restarting it in 1 s.')
  expect(lines[1]).toBe('catalog-1 did not restart: no port; restarting it in 2 s.')
  expect(givenUp).toEqual([])
  kept.stop()
})

test('it is given up after the limit, once, and started again when asked', async () => {
  const { kept, givenUp, failures, started, end } = rig({ restartLimit: 2 })
  failures.push(new Error('broken'), new Error('broken'))
  const two = Promise.all([started(), started()])
  end()
  await two
  await expect.poll(() => givenUp).toEqual(['catalog-1'])
  const again = started()
  kept.retry()
  await again
  kept.stop()
})

test('an end that is expected neither counts nor waits', async () => {
  const { kept, lines, givenUp, started, end } = rig({ restartLimit: 1 })
  for (let round = 0; round < 20; round += 1) {
    const again = started()
    kept.expectEnd()
    end('SIGTERM')
    await again
  }
  expect([lines, givenUp]).toEqual([[], []])
  kept.stop()
})

test('a process that ran for a while has recovered', async () => {
  const { kept, lines, started, end } = rig({ restartLimit: 1 })
  for (let round = 0; round < 4; round += 1) {
    const again = started()
    await new Promise((resolve) => setTimeout(resolve, 30)) // three times what counts as a while at this scale
    end()
    await again
  }
  expect(waits(lines)).toEqual(['1', '1', '1', '1'])
  kept.stop()
})

test('nothing is started after stop, also not out of a wait', async () => {
  const { kept, started, end } = rig({ waitScale: 1 })
  let count = 0
  void started().then(() => {
    count += 1
  })
  end()
  await new Promise(setImmediate)
  kept.stop()
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(count).toBe(0)
})

test('a restart that was asked for and fails is not repeated; the next request starts it', async () => {
  const { kept, lines, failures, started, end } = rig({ waitScale: 0 })
  failures.push(new Error('app.ts:3 Unexpected token'))
  const restarted = kept.expectEnd()
  end('SIGTERM')
  expect(await restarted).toEqual({ status: 'failed', reason: 'app.ts:3 Unexpected token' })
  let startCount = 0
  const again = started().then(() => {
    startCount += 1
  })
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
  expect([startCount, lines]).toEqual([0, []])
  expect(await kept.retry()).toEqual({ status: 'running' })
  await again
  kept.stop()
})

test('a restart is superseded by the next one, and by stop', async () => {
  const { kept } = rig()
  const first = kept.expectEnd()
  const second = kept.expectEnd()
  expect(await first).toEqual({ status: 'superseded' })
  kept.stop()
  expect(await second).toEqual({ status: 'superseded' })
})
