/**
 * One HTTP exchange with one instance, close to undici: no retry, no choice of instance, nothing parsed. What it adds is to say of
 * every failure whether the request had left, how the answer is delivered (whole, or as a stream) and a limit on everything.
 */
import type { Readable } from 'node:stream'
import { startTimer } from '@shop/redis-kit/flow/deadline'
import { Agent, type Dispatcher } from 'undici'
import { buffer, type DeliveryOptions, isStreamed, type Receiver, stream } from './delivery.ts'
import type { HttpRequest, HttpResponse } from './request.ts'

export interface SendOptions extends DeliveryOptions {
  /** Limit until the head of the answer, waiting for a connection included. @default none */
  headTimeoutMs?: number
  /** Longest silence within a body. 0: none. */
  idleTimeoutMs?: number
  /** Ends the exchange, until the body is delivered or the stream handed over. */
  signal?: AbortSignal
  /** The request is being written: from now on it may have an effect. */
  onSend?: () => void
  /** A piece of a streamed body has left. */
  onBodySent?: () => void
  /** The head of the answer is there. */
  onHead?: () => void
}

/** When it went wrong. `connecting`: nothing has left, so nothing has happened there. */
export type FailurePhase = 'connecting' | 'waiting' | 'receiving'

export class ExchangeFailed extends Error {
  override name = 'ExchangeFailed'
  readonly phase: FailurePhase

  constructor(phase: FailurePhase, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.phase = phase
  }
}

export class HeadTimeout extends Error {
  override name = 'HeadTimeout'
  code = 'HEAD_TIMEOUT'
}

export interface ConnectionOptions {
  /** Connections to one instance; further requests wait for one, up to their deadline. @default 64 */
  connectionCount?: number
  /** @default 500 */
  connectTimeoutMs?: number
  /** An idle connection is closed after this, or a second before the server said it would. @default 4000 */
  keepAliveMs?: number
}

export type Connections = ReturnType<typeof createConnections>

export function createConnections({
  connectionCount = 64,
  connectTimeoutMs = 500,
  keepAliveMs = 4_000,
}: ConnectionOptions = {}) {
  const agent = new Agent({
    connections: connectionCount,
    connect: { timeout: connectTimeoutMs },
    keepAliveTimeout: keepAliveMs,
    pipelining: 1,
    allowH2: false,
    maxOrigins: 10_000,
  })
  return { send, close: () => agent.close(), destroy: () => agent.destroy() }

  /**
   * Rejects with ExchangeFailed; with the signal's reason when that ended it (`onSend` tells whether it had left); with undici's
   * own error for a request that cannot be made (a header with a line break).
   * @param origin as http://10.0.0.7:3000
   */
  function send(origin: string, request: HttpRequest, options: SendOptions): Promise<HttpResponse<Buffer | Readable>> {
    return new Promise((resolve, reject) => {
      agent.dispatch(
        {
          origin,
          path: request.path,
          method: request.method,
          headers: request.headers,
          body: request.body,
          headersTimeout: 0, // rounded up to half a second by undici's shared timer: `headTimeoutMs` is ours
          bodyTimeout: options.idleTimeoutMs ?? 0,
        },
        exchange(options, resolve, reject),
      )
    })
  }
}

type Resolve = (response: HttpResponse<Buffer | Readable>) => void

function exchange(
  options: SendOptions,
  resolve: Resolve,
  reject: (error: unknown) => void,
): Dispatcher.DispatchHandler {
  const { signal, headTimeoutMs } = options
  let phase: FailurePhase = 'connecting'
  let connection: Dispatcher.DispatchController | undefined
  let receiver: Receiver | undefined
  let ended: { error: unknown } | undefined
  const stopTimer = headTimeoutMs ? startTimer(headTimeoutMs, onTimeout) : undefined
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })

  return {
    onRequestStart(controller) {
      connection = controller
      if (ended) return controller.abort(toError(ended.error)) // while it waited for a connection
      phase = 'waiting'
      options.onSend?.()
    },
    onBodySent: options.onBodySent,
    onResponseStart(controller, status, headers) {
      if (status < 200) return
      phase = 'receiving'
      stopTimer?.()
      options.onHead?.()
      const deliver = (body: Buffer | Readable) => {
        forget()
        resolve({ status, headers, body })
      }
      receiver = isStreamed(status, headers, options)
        ? stream(controller, deliver)
        : buffer(controller, headers, options.maxBodyBytes, deliver)
    },
    onResponseData: (_, chunk) => receiver?.data(chunk),
    onResponseEnd: () => receiver?.end(),
    onResponseError(_, error) {
      forget()
      receiver?.failed(error)
      if (ended) reject(ended.error)
      else reject(isOurMistake(error) ? error : new ExchangeFailed(phase, error))
    },
  }

  function onAbort() {
    end(signal?.reason)
  }

  function onTimeout() {
    end(new ExchangeFailed(phase, new HeadTimeout(`no answer within ${headTimeoutMs} ms`)))
  }

  function end(error: unknown) {
    forget()
    ended = { error }
    if (connection) connection.abort(toError(error))
    else reject(error)
  }

  function forget() {
    stopTimer?.()
    signal?.removeEventListener('abort', onAbort)
  }
}

/** A request that undici refuses to make would fail with every instance. */
function isOurMistake(error: Error): boolean {
  return (
    'code' in error && (error.code === 'UND_ERR_INVALID_ARG' || error.code === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH')
  )
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
