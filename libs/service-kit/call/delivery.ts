/**
 * How the body of an answer reaches its caller: whole, within a limit, or as a stream that slows the sender down to its reader.
 */
import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import type { ResponseHeaders } from './request.ts'

/**
 * buffered: the whole body; larger than maxBodyBytes is a failure.
 * streamed: at the first byte.
 * by-size: buffered if it says that it is small, else streamed. For passing on what one does not know.
 */
export type Delivery = 'buffered' | 'streamed' | 'by-size'

export interface DeliveryOptions {
  /** @default 'buffered' */
  delivery?: Delivery
  /** Of a buffered body. */
  maxBodyBytes: number
  /** Deliver these whole even if streamed, for a caller who may want to try another instance. */
  isAlwaysBuffered?: (status: number) => boolean
}

export class ResponseTooLarge extends Error {
  override name = 'ResponseTooLarge'
  code = 'RESPONSE_TOO_LARGE'
}

/** Where the body goes. */
export interface Receiver {
  data(chunk: Buffer): void
  end(): void
  failed(error: Error): void
}

export function buffer(
  controller: Dispatcher.DispatchController,
  headers: ResponseHeaders,
  maxBodyBytes: number,
  deliver: (body: Buffer) => void,
): Receiver {
  const chunks: Buffer[] = []
  let byteCount = 0
  if (contentLength(headers) > maxBodyBytes) refuse()
  return { data, end, failed() {} }

  function data(chunk: Buffer) {
    byteCount += chunk.length
    if (byteCount > maxBodyBytes) refuse()
    else chunks.push(chunk)
  }

  function end() {
    const [first] = chunks
    deliver(chunks.length === 1 && first ? first : Buffer.concat(chunks))
  }

  function refuse() {
    controller.abort(new ResponseTooLarge(`the answer is larger than ${maxBodyBytes} bytes`))
  }
}

/** Holds the sender back when the reader is slow; ends the exchange when the reader goes away. */
export function stream(controller: Dispatcher.DispatchController, deliver: (body: Readable) => void): Receiver {
  let ended = false
  const body = new Readable({
    read: () => controller.resume(),
    destroy(error, done) {
      if (!ended) controller.abort(error ?? new Error('the reader disconnected'))
      done(error)
    },
  })
  deliver(body)
  return { data, end, failed }

  function data(chunk: Buffer) {
    if (!body.push(chunk)) controller.pause()
  }

  function end() {
    ended = true
    body.push(null)
  }

  function failed(error: Error) {
    ended = true
    body.destroy(error)
  }
}

export function isStreamed(status: number, headers: ResponseHeaders, options: DeliveryOptions): boolean {
  const { delivery = 'buffered', maxBodyBytes, isAlwaysBuffered } = options
  if (delivery === 'buffered' || isAlwaysBuffered?.(status)) return false
  return delivery === 'streamed' || !(contentLength(headers) <= maxBodyBytes)
}

/** NaN when the header is absent. */
function contentLength(headers: ResponseHeaders): number {
  return Number(headers['content-length'] ?? Number.NaN)
}
