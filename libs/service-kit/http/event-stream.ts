/**
 * Server-sent events: answers that go on. What is to be sent is a loop of the service; this is the wire around it, with a limit on
 * everything: how many streams, how long, how silent, how far behind.
 *
 *     const streams = createEventStreams({ stopping })
 *     server.get('/api/orders/:id/events', (request, reply) =>
 *       streams.send(reply, { caller: userId, events: (signal) => follow(id, lastEventId(request), signal) }))
 *
 * A browser that loses the stream comes back by itself and sends the last `id` it has seen as Last-Event-ID, perhaps to another
 * instance: events have to be found again by their id. 204 tells it to stay away (WHATWG HTML, server-sent events).
 */

import { Readable } from 'node:stream'
import { createSlots } from '@shop/redis-kit/flow/slots'
import { checkNumbers, MAX_TIMER_MS } from '@shop/redis-kit/number-options'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { defineErrors } from './errors.ts'

export interface ServerSentEvent {
  /** Without line breaks. What comes back as Last-Event-ID. */
  id: string | number
  /** What a listener of the browser is registered for. @default 'message' */
  event?: string
  /** Sent as JSON. */
  data: unknown
}

export interface EventStreamsOptions {
  /** Aborted when the process begins to close: all streams end then, and their clients go elsewhere. */
  stopping: AbortSignal
  /** Open at once in this process. @default 1_000 */
  maxCount?: number
  /** Open at once of one caller in this process. @default 10 */
  maxCountPerCaller?: number
  /** A comment after this long, so that nobody in between takes the silence for an end. @default 15_000 */
  heartbeatMs?: number
  /** A stream ends after this; the client comes back, is looked at again and goes on where it was. @default 900_000 */
  maxMs?: number
  /** What may wait for a client that reads too slowly before its stream is broken off. @default 65_536 */
  maxBufferedBytes?: number
}

export interface EventSourceOptions {
  /** Who takes the place: a user's id. */
  caller: string
  /** What is sent, until it ends or the signal is aborted because the client has gone. Its failure breaks the stream off. */
  events(signal: AbortSignal): AsyncIterable<ServerSentEvent>
}

export interface EventStreams {
  /** Answers the request. Throws `streams-exhausted` (503) or `too-many-streams` (429). */
  send(reply: FastifyReply, source: EventSourceOptions): FastifyReply
  /** Open now, for a gauge. */
  count(): number
}

export const eventStreamErrors = defineErrors({
  exhausted: [
    'unavailable',
    'streams-exhausted',
    'Too many streams are open; try again in a moment',
    { retryAfterMs: 5_000 },
  ],
  tooMany: ['too-many', 'too-many-streams', 'You have too many streams open; close one first', { retryAfterMs: 5_000 }],
})

/** Clients of a stream that ended come back after a time of their own, so that they do not all come at once. */
const retryMs = () => 500 + Math.floor(Math.random() * 1_500)
const retryLine = () => `retry: ${retryMs()}\n\n`

export function createEventStreams(options: EventStreamsOptions): EventStreams {
  const { stopping, maxCount = 1_000, maxCountPerCaller = 10 } = options
  const [whole, timer] = [
    { min: 1, isWhole: true },
    { min: 1, max: MAX_TIMER_MS },
  ]
  checkNumbers('event streams', options, {
    maxCount: whole,
    maxCountPerCaller: whole,
    heartbeatMs: timer,
    maxMs: timer,
    maxBufferedBytes: whole,
  })
  const slots = createSlots(maxCount)
  const slotsOfCallers = createSlots(maxCountPerCaller)
  return { send, count: slots.count }

  function send(reply: FastifyReply, { caller, events }: EventSourceOptions): FastifyReply {
    // HEAD has no body, so a stream would keep its place until maxMs.
    const body = reply.request.method === 'HEAD' ? Readable.from([]) : open(caller, events)
    return reply
      .header('content-type', 'text/event-stream; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no')
      .send(body)
  }

  function open(caller: string, events: EventSourceOptions['events']): Readable {
    const release = take(caller)
    const stream = openStream(options)
    stream.body.once('close', release)
    stream.run(events).catch((error) => stream.body.destroy(error))
    return stream.body
  }

  function take(caller: string): () => void {
    const leave = stopping.aborted ? undefined : slots.take('all')
    if (!leave) throw eventStreamErrors.exhausted()
    const leaveCaller = slotsOfCallers.take(caller)
    if (!leaveCaller) {
      leave()
      throw eventStreamErrors.tooMany()
    }
    return () => {
      leave()
      leaveCaller()
    }
  }
}

/** What the client has seen, if it is a whole number as our ids are; 0 otherwise, which is the beginning. */
export function lastEventNumber({ headers }: FastifyRequest): number {
  const text = headers['last-event-id']
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : 0
}

function openStream(options: EventStreamsOptions) {
  const { stopping, heartbeatMs = 15_000, maxMs = 900_000, maxBufferedBytes = 65_536 } = options
  const body = new Readable({ read() {}, highWaterMark: maxBufferedBytes })
  const ending = new AbortController()
  const heartbeat = setInterval(() => push(':\n\n'), heartbeatMs)
  const deadline = setTimeout(finish, maxMs)
  stopping.addEventListener('abort', finish, { once: true })
  body.once('close', () => {
    clearInterval(heartbeat)
    clearTimeout(deadline)
    stopping.removeEventListener('abort', finish)
    ending.abort()
  })
  push(retryLine()) // at once, so that the head goes out and the client knows that it is connected
  return { body, run }

  async function run(events: EventSourceOptions['events']): Promise<void> {
    for await (const event of events(ending.signal)) {
      if (body.readableEnded || body.destroyed) return
      push(encode(event))
    }
    finish()
  }

  function finish() {
    if (ending.signal.aborted) return
    push(retryLine())
    body.push(null)
    ending.abort()
  }

  /** Bytes that nobody reads stay in memory: whoever reads too slowly is told nothing more, and comes back for the rest. */
  function push(text: string) {
    if (ending.signal.aborted || body.destroyed) return
    body.push(text)
    if (body.readableLength > maxBufferedBytes) body.destroy(new Error('the client reads its event stream too slowly'))
  }
}

/** JSON has no line breaks, so the data is one line. */
function encode({ id, event, data }: ServerSentEvent): string {
  return `id: ${id}\n${event === undefined ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`
}
