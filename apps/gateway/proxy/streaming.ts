/**
 * What passes through piece by piece: a large body on its way in, events on their way out. Each side holds the other back when it is
 * slow and ends with the other; what ends a stream is silence, and neither its size nor its age makes the gateway grow.
 */
import type { OutgoingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { ServiceClient, ServiceRequest, ServiceResponse } from '@shop/service-kit/call/client'
import type { Metrics } from '@shop/service-kit/telemetry/metrics'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Route } from '../routes.ts'
import { responseHeaders, send } from './headers.ts'
import { createStreamSlots, type StreamSlotLimits } from './stream-slots.ts'
import { receive } from './upload.ts'

/** How long a client has to take what was sent to it before a stream was ended. */
const lastWordsMs = 2_000

export interface StreamingOptions extends StreamSlotLimits {
  client: ServiceClient
  metrics: Metrics
  /** Until the head of the answer; for an upload from its last piece on. */
  timeoutMs: number
  /** Longest silence of a body or of an answer. Services send a comment more often than that. */
  idleMs: number
  /** An event stream is ended after this, so that the session of a client that reconnects is checked again. */
  maxMs: number
  /** Aborted when this process begins to close: event streams end, and the clients come back through another gateway. */
  stopping: AbortSignal
}

interface Stream {
  route: Route
  outgoing: ServiceRequest
  /** Whose place it takes. */
  caller: string
  request: FastifyRequest
  reply: FastifyReply
  /** Aborted when the client goes away; by us, when there is another reason to end it. */
  abort: AbortController
}

export function createStreaming(options: StreamingOptions) {
  const { client, metrics, timeoutMs, idleMs, stopping } = options
  const slots = createStreamSlots(options)
  stopping.addEventListener('abort', slots.close, { once: true })
  metrics.extend((prom, registers) => {
    return new prom.Gauge({
      name: 'gateway_open_streams',
      help: 'Open event streams and uploads',
      registers,
      collect() {
        this.set(slots.count())
      },
    })
  })

  return async function forwardStream({ route, outgoing, caller, request, reply, abort }: Stream) {
    // No await between these two: a `close` that was emitted before the listener is there gives no place back.
    abort.signal.throwIfAborted()
    reply.raw.once('close', slots.take(route.service, caller))
    const hasBody = route.body === 'stream' && request.body !== undefined
    const limits = { maxBytes: request.bodyMaxBytes, idleMs }
    const body = hasBody ? receive(request.raw, limits, (error) => abort.abort(error)) : outgoing.body
    // After an early answer the service's connection would wait for the rest of the body.
    if (body instanceof Readable) reply.raw.once('close', () => body.destroy())
    const response = await client.request({
      ...outgoing,
      headers: { ...outgoing.headers, ...(hasBody && lengthOf(request)) },
      body,
      stream: 'large',
      deadlineMs: hasBody ? idleMs + timeoutMs : timeoutMs,
      idleTimeoutMs: idleMs,
      signal: abort.signal,
    })
    const isEndless = route.answer === 'stream' && request.method !== 'HEAD'
    const { body: answer } = response
    if (isEndless && !Buffer.isBuffer(answer)) {
      abort.signal.throwIfAborted() // passOn listens for `close`, too
      return passOn(reply, { ...response, body: answer }, options)
    }
    return send(reply, response)
  }
}

export type ForwardStream = ReturnType<typeof createStreaming>

/**
 * The head at once, then every piece as it comes. The service's end, and its death, are the client's; so that a browser comes back for
 * more in either case, and brings the id of the last event that it has seen.
 */
function passOn(reply: FastifyReply, response: ServiceResponse<Readable>, { stopping, maxMs }: StreamingOptions) {
  const { status, headers, body } = response
  const { raw, log, request } = reply.hijack()
  const route = request.routeOptions.url
  const head = { ...reply.getHeaders(), ...responseHeaders(headers), connection: 'close' }
  raw.writeHead(status, head as OutgoingHttpHeaders).flushHeaders()
  body.pipe(raw)
  let timer = setTimeout(finish, maxMs)
  stopping.addEventListener('abort', finish, { once: true })
  body.once('error', () => raw.destroy())
  raw.once('close', () => {
    clearTimeout(timer)
    stopping.removeEventListener('abort', finish)
    const durationMs = Math.round(reply.elapsedTime)
    if (!raw.writableFinished) log.info({ route, status, durationMs }, 'stream aborted')
    body.destroy()
  })

  function finish() {
    body.unpipe(raw)
    body.destroy()
    raw.end()
    // A client that does not read, or is no longer there without having said so, must not keep its place, nor this process.
    clearTimeout(timer)
    timer = setTimeout(() => raw.destroy(), lastWordsMs)
  }
}

/** A body that says how long it is stays one that does. */
function lengthOf({ headers }: FastifyRequest) {
  return headers['content-length'] === undefined ? {} : { 'content-length': headers['content-length'] }
}
