import { expect, test } from 'vitest'
import type { CacheResult } from './events.ts'
import type { Flight, Reader, ReadRequest } from './reader.ts'
import { end, enterLoading, follow } from './single-flight.ts'

test('a read that follows another gets its answer, although that one ends before the wait for it begins', async () => {
  const reader = { flights: new Map() } as unknown as Reader<string>
  const request = { id: 'a' } as ReadRequest<string>
  const flight = (): Flight<string> => ({ promise: undefined, isAsked: true, isLoading: false, asOf: 0 })
  const [loading, later] = [flight(), flight()]
  const answer: CacheResult<string> = { value: 'loaded', source: 'miss' }
  loading.promise = Promise.resolve(answer)
  expect(enterLoading(reader, request, loading)).toBeUndefined()

  const followed = enterLoading(reader, request, later)
  end(reader, request.id, loading)
  expect(followed && (await follow(reader, later, followed))).toEqual(answer)
})
