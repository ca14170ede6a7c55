/** The body of an import: read piece by piece, no faster than it is worked off, and bounded in size and in silence instead of in time. */
import type { Readable } from 'node:stream'
import { within } from '@shop/redis-kit/flow/deadline'
import { errors } from '../errors.ts'

export interface BodyLimits {
  maxBytes: number
  /** Longest wait for the next piece. */
  idleMs: number
}

/**
 * Leaves the connection open when its reader stops early, for the answer has to go out on it. Throws 413 `import-too-large`, and 400
 * `import-stalled` or `import-broken-off`.
 */
export async function* readBody(raw: Readable, { maxBytes, idleMs }: BodyLimits): AsyncGenerator<Buffer> {
  const pieces = raw.iterator({ destroyOnReturn: false })
  let byteCount = 0
  try {
    while (true) {
      const { value, done } = await within(nextOf(pieces), idleMs, () => {
        throw errors.importStalled()
      })
      if (done) return
      byteCount += value.length
      if (byteCount > maxBytes) throw errors.importTooLarge(maxBytes)
      yield value
    }
  } finally {
    // Not awaited: after a silence it waits for the piece that has not come.
    pieces.return?.().catch(() => {})
  }
}

async function nextOf(pieces: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
  try {
    return await pieces.next()
  } catch (cause) {
    throw errors.importBrokenOff({ cause })
  }
}
