import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { untilEvent } from './until-event.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  expect(vi.getTimerCount(), 'timers left behind').toBe(0)
  vi.useRealTimers()
})

function createSource() {
  const source = new EventEmitter()
  return { source, until: (timeoutMs: number) => untilEvent(source, 'ready', timeoutMs) }
}

test('an event in time is true, and its listener is gone', async () => {
  const { source, until } = createSource()
  const came = until(100)
  source.emit('ready')
  expect(await came).toBe(true)
  expect(source.listenerCount('ready')).toBe(0)
})

test('no event in time is false, and the listener is gone', async () => {
  const { source, until } = createSource()
  const came = until(100)
  await vi.advanceTimersByTimeAsync(100)
  expect(await came).toBe(false)
  expect(source.listenerCount('ready')).toBe(0)
})

test('an error does not end the wait', async () => {
  const { source, until } = createSource()
  source.on('error', () => {})
  const came = until(100)
  source.emit('error', new Error('refused'))
  source.emit('ready')
  expect(await came).toBe(true)
})
