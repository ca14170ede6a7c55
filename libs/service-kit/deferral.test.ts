import { expect, test, vi } from 'vitest'
import { createDeferrals } from './deferral.ts'

test('a thing is made when it is first needed, and once', () => {
  const make = vi.fn(() => ({}))
  const get = createDeferrals().defer(make)
  expect(make).not.toHaveBeenCalled()
  expect(get()).toBe(get())
  expect(make).toHaveBeenCalledTimes(1)
})

test('even when it is undefined', () => {
  const make = vi.fn(() => undefined)
  const get = createDeferrals().defer(make)
  get()
  get()
  expect(make).toHaveBeenCalledTimes(1)
})

test('what nobody needed is made in the background, with other work in between', async () => {
  const { defer, makeAll } = createDeferrals()
  const events: string[] = []
  const needed = defer(() => events.push('needed'))
  defer(() => events.push('a'))
  defer(() => events.push('b'))
  needed()
  const all = makeAll()
  setImmediate(() => events.push('a request'))
  await all
  expect(events).toEqual(['needed', 'a', 'a request', 'b'])
})

test('a thing that cannot be made fails whoever needs it, each time, and the background work', async () => {
  const { defer, makeAll } = createDeferrals()
  const get = defer(() => {
    throw new Error('cannot be made')
  })
  await expect(makeAll()).rejects.toThrow('cannot be made')
  expect(get).toThrow('cannot be made')
  expect(get).toThrow('cannot be made')
})
