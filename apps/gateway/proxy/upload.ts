/** A request body that passes through as it comes: never more of it in memory than what is on its way. */
import type { IncomingMessage } from 'node:http'
import { type Readable, Transform } from 'node:stream'
import type { ShopError } from '@shop/service-kit/http/errors'
import { errors } from '../errors.ts'

export interface UploadLimits {
  maxBytes: number
  /** Longest that the client may send nothing while the service waits for more. */
  idleMs: number
}

/**
 * The body as the service is to get it. A service that reads slowly holds the client back.
 * @param refuse ends the exchange with this error: the body is too large, or has stopped coming
 */
export function receive(raw: IncomingMessage, limits: UploadLimits, refuse: (error: ShopError) => void): Readable {
  const { maxBytes, idleMs } = limits
  let byteCount = 0
  const timer = setTimeout(onSilence, idleMs)
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      timer.refresh()
      byteCount += chunk.length
      if (byteCount > maxBytes) refuse(errors.bodyTooLarge(maxBytes))
      else done(null, chunk)
    },
    flush(done) {
      clearTimeout(timer)
      done()
    },
    destroy(error, done) {
      clearTimeout(timer)
      done(error)
    },
  })
  if (Number(raw.headers['content-length']) > maxBytes) refuse(errors.bodyTooLarge(maxBytes))
  else raw.pipe(body)
  return body

  function onSilence() {
    // What lies here untaken says that the service is the slow one; the service client has a limit for that.
    if (body.readableLength > 0) timer.refresh()
    else refuse(errors.uploadStalled())
  }
}
