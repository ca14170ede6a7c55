import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyReply } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import { createLog } from '../telemetry/log.ts'
import { createEventStreams, type EventStreamsOptions, lastEventNumber, type ServerSentEvent } from './event-stream.ts'
import { createServer } from './server.ts'

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

/** A service with one stream, which sends what the test tells it to. */
async function startStreams(options: Partial<EventStreamsOptions> = {}, before = async (_reply: FastifyReply) => {}) {
  const stopping = new AbortController()
  const log = createLog({ service: 'test', instanceId: 'test', level: 'silent' })
  const server = createServer({ log, identity: 'none' })
  const streams = createEventStreams({ stopping: stopping.signal, ...options })
  const sources: { send(event: ServerSentEvent): void; end(): void; fail(error: Error): void; signal: AbortSignal }[] =
    []
  server.get('/events/:caller', async (request, reply) => {
    await before(reply)
    return streams.send(reply, {
      caller: (request.params as { caller: string }).caller,
      events: (signal) => source(signal, lastEventNumber(request)),
    })
  })
  await server.listen({ port: 0, host: '127.0.0.1' })
  undo.push(() => server.close())
  const { port } = server.server.address() as AddressInfo
  return { streams, stopping, sources, port, open: (caller = 'ada', headers = {}) => open(port, caller, headers) }

  async function* source(signal: AbortSignal, after: number): AsyncGenerator<ServerSentEvent> {
    yield { id: after + 1, event: 'hello', data: { after } }
    const queue: (ServerSentEvent | Error | undefined)[] = []
    let wake = () => {}
    signal.addEventListener('abort', () => put(undefined))
    const put = (item: ServerSentEvent | Error | undefined) => {
      queue.push(item)
      wake()
    }
    sources.push({ send: put, end: () => put(undefined), fail: put, signal })
    for (;;) {
      while (queue.length === 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        wake = resolve
        await promise
      }
      const item = queue.shift()
      if (item instanceof Error) throw item
      if (item === undefined) return
      yield item
    }
  }
}

interface Opened {
  outgoing: ClientRequest
  response: IncomingMessage
  /** All that has come so far. */
  text(): string
  ended: Promise<'ended' | 'broken off'>
}

async function open(port: number, caller: string, headers: Record<string, string>): Promise<Opened> {
  const outgoing = request({ port, host: '127.0.0.1', path: `/events/${caller}`, headers }).end()
  outgoing.on('error', () => {})
  undo.push(() => outgoing.destroy())
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  let text = ''
  response.setEncoding('utf8').on('data', (piece) => {
    text += piece
  })
  response.on('error', () => {})
  const { promise: ended, resolve } = Promise.withResolvers<'ended' | 'broken off'>()
  response.once('close', () => resolve(response.complete ? 'ended' : 'broken off'))
  return { outgoing, response, text: () => text, ended }
}

const patience = { timeout: 10_000, interval: 10 }

describe('an event stream', () => {
  test('sends its head and when to come back at once, then each event as it comes, and ends with its source', async () => {
    const { open, sources } = await startStreams()
    const stream = await open()
    expect(stream.response.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    expect(stream.response.headers['cache-control']).toBe('no-store')
    await expect.poll(stream.text, patience).toMatch(/^retry: \d+\n\nid: 1\nevent: hello\ndata: {"after":0}\n\n$/)
    sources[0]?.send({ id: 2, data: 'two\nlines' })
    await expect.poll(stream.text, patience).toContain('id: 2\ndata: "two\\nlines"\n\n')
    sources[0]?.end()
    expect(await stream.ended).toBe('ended')
  })

  test('goes on after the event that the client has seen, and from the beginning for a number that is none', async () => {
    const { open } = await startStreams()
    const known = await open('ada', { 'last-event-id': '41' })
    await expect.poll(known.text, patience).toContain('id: 42\n')
    const nonsense = await open('ada', { 'last-event-id': '-1; DROP' })
    await expect.poll(nonsense.text, patience).toContain('id: 1\n')
  })

  test('is never silent for longer than a heartbeat', async () => {
    const { open } = await startStreams({ heartbeatMs: 20 })
    const stream = await open()
    await expect.poll(() => stream.text().split('\n:\n').length, patience).toBeGreaterThan(3)
  })

  test('tells its source when the client has gone, and gives its place back', async () => {
    const { open, sources, streams } = await startStreams()
    const stream = await open()
    await expect.poll(() => sources.length, patience).toBe(1)
    expect(streams.count()).toBe(1)
    stream.outgoing.destroy()
    await expect.poll(() => sources[0]?.signal.aborted, patience).toBe(true)
    await expect.poll(streams.count, patience).toBe(0)
  })

  test('gives its place back when the client has gone before it began', async () => {
    const arrived = Promise.withResolvers<void>()
    const { port, sources, streams } = await startStreams({}, async ({ raw }) => {
      arrived.resolve()
      await once(raw, 'close')
    })
    const outgoing = request({ port, host: '127.0.0.1', path: '/events/ada' }).end()
    outgoing.on('error', () => {})
    await arrived.promise
    outgoing.destroy()
    await expect.poll(() => sources[0]?.signal.aborted, patience).toBe(true)
    expect(streams.count()).toBe(0)
  })

  test('is broken off when its source fails: the client comes back', async () => {
    const { open, sources } = await startStreams()
    const stream = await open()
    await expect.poll(() => sources.length, patience).toBe(1)
    sources[0]?.fail(new Error('no database'))
    expect(await stream.ended).toBe('broken off')
  })

  test('of a client that does not read is broken off, and what waits for it is bounded', async () => {
    const { open, sources, streams } = await startStreams({ maxBufferedBytes: 10_000 })
    const stream = await open()
    await expect.poll(() => sources.length, patience).toBe(1)
    stream.response.pause()
    const data = 'x'.repeat(1_000)
    let sentCount = 0
    await expect
      .poll(() => {
        for (let i = 0; i < 1_000; i++) sources[0]?.send({ id: ++sentCount, data })
        return sources[0]?.signal.aborted
      }, patience)
      .toBe(true)
    expect(streams.count()).toBe(0)
  })

  test('ends in order after its time, and when the process stops; nobody is let in then', async () => {
    const { open } = await startStreams({ maxMs: 50 })
    const short = await open()
    expect(await short.ended).toBe('ended')
    const { open: openLong, stopping, streams } = await startStreams()
    const long = await openLong()
    stopping.abort()
    expect(await long.ended).toBe('ended')
    expect(long.text()).toMatch(/retry: \d+\n\n$/)
    await expect.poll(streams.count, patience).toBe(0)
    expect((await openLong()).response.statusCode).toBe(503)
  })
})

describe('the number of streams', () => {
  test('of one caller is limited, and of all; a place that is free again is given to the next', async () => {
    const { open, streams } = await startStreams({ maxCount: 3, maxCountPerCaller: 2 })
    const [first] = [await open('ada'), await open('ada')]
    const refused = await open('ada')
    expect(refused.response.statusCode).toBe(429)
    await expect.poll(refused.text, patience).toContain('"too-many-streams"')
    await open('ben')
    const full = await open('eve')
    expect([full.response.statusCode, full.response.headers['retry-after']]).toEqual([503, '5'])
    await expect.poll(full.text, patience).toContain('"streams-exhausted"')
    first?.outgoing.destroy()
    await expect.poll(streams.count, patience).toBe(2)
    expect((await open('eve')).response.statusCode).toBe(200)
  })
})
