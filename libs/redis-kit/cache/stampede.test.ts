/** What happens when many processes miss the same value at once, and when the one that loads it dies. */
import { testRedis } from '@shop/test-kit/redis'
import { expect, test } from 'vitest'
import { startChildren } from './fixtures/children.ts'

const server = await testRedis()
const setup = (leaseMs?: number) => ({ url: server.url, namespace: server.namespace(), hasCopies: false, leaseMs })
const TIMEOUT_MS = 60_000

test('1,000 misses in four processes are one load', { timeout: TIMEOUT_MS }, async () => {
  const children = await startChildren(4, setup(30_000))
  const task = { task: 'stampede', id: 'a, {b}', readCount: 250, loadMs: 50 } as const
  const answers = (await Promise.all(children.map((child) => child.run<string[]>(task)))).flat()
  expect(answers).toHaveLength(1_000)
  expect(new Set(answers.map((answer) => answer.split(' ')[1]))).toEqual(new Set(['1']))
  expect(new Set(answers.map((answer) => answer.split(' ')[2]))).toEqual(new Set(['miss', 'hit']))
})

test('a process that dies while it loads costs one more load, and no reader an error', {
  timeout: TIMEOUT_MS,
}, async () => {
  const [holder, ...others] = await startChildren(4, setup(1_500))
  if (!holder) throw new Error('no children')
  const task = { task: 'stampede', id: 'a', readCount: 50 } as const
  holder.run({ ...task, loadMs: 'for ever' }).catch(() => {}) // it will be killed
  await holder.loading()
  const readings = others.map((child) => child.run<string[]>({ ...task, loadMs: 0 }))
  await holder.kill()
  const answers = (await Promise.all(readings)).flat()
  expect(answers).toHaveLength(150)
  // A read that had to wait for more than two leases would have gone around the cache, as 'bypass'.
  expect(new Set(answers)).toEqual(new Set(['load 2 miss', 'load 2 hit']))
})
