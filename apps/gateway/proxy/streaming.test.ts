/** What streams, through a gateway that is a process of its own: memory, order, ends and deaths. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { buffer, json, text } from 'node:stream/consumers'
import { setTimeout as elapse } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Answer, startGatewayProcess } from '../gateway.fixture.ts'
import { limitImports, policyFile } from '../limits/policies.fixture.ts'

const MiB = 1_048_576

async function start(env: Record<string, string>, answers: Record<string, Answer> = {}) {
  const gateway = await startGatewayProcess({ RATE_LIMIT_FILE: 'apps/gateway/limits/ample.yaml', ...env }, answers)
  onTestFinished(gateway.stop)
  return { ...gateway, signIn, metric, rss, open, upload }

  async function signIn() {
    const session = await gateway.sessions.create({ userId: randomUUID(), fields: { role: 'admin' } })
    return { cookie: `shop_session=${session.id}` }
  }

  async function metric(name: string): Promise<number> {
    const page = await (await fetch(`http://127.0.0.1:${gateway.internalPort}/metrics`)).text()
    return Number(new RegExp(`^${name}\\S* (\\S+)`, 'm').exec(page)?.[1])
  }

  /** Resident memory of the gateway's process, MiB. */
  async function rss(): Promise<number> {
    return (await metric('process_resident_memory_bytes')) / MiB
  }

  /** Asks for events; resolves with the head. */
  async function open(headers: Record<string, string> = {}) {
    const request = httpRequest(`${gateway.url}/api/orders/1/events`, { headers, agent: false }).end()
    request.on('error', () => {})
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    return { request, response }
  }

  /** Sends a body; the answer may come before all of it is sent. */
  function upload(body: Readable, headers: Record<string, string> = {}) {
    const request = httpRequest(`${gateway.url}/api/products/import`, { method: 'POST', headers, agent: false })
    body.pipe(request)
    request.on('error', () => body.destroy())
    const answered = once(request, 'response').then(async ([response]) => ({
      status: response.statusCode as number,
      body: (await json(response)) as Record<string, unknown>,
    }))
    answered.catch(() => {})
    return { request, answered }
  }
}

/** A body of so many pieces, and how many were taken of it. */
function pieces(count: number, piece = Buffer.alloc(MiB, 'line of a product\n')) {
  const taken = { count: 0 }
  const body = Readable.from(
    (function* () {
      for (; taken.count < count; taken.count++) yield piece
    })(),
    { objectMode: false },
  )
  return { body, taken }
}

const answerJson = (response: ServerResponse, value: unknown) =>
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value))

const digest: Answer = (request, response) => {
  const hash = createHash('sha256')
  let byteCount = 0
  request.on('data', (chunk) => {
    hash.update(chunk)
    byteCount += chunk.length
  })
  request.on('end', () => {
    answerJson(response, { byteCount, sha256: hash.digest('hex'), length: request.headers['content-length'] ?? null })
  })
}

/** Server-sent events that are sent when the test says so. */
function eventSource() {
  const streams: { request: IncomingMessage; response: ServerResponse; isClosed: boolean }[] = []
  const answer: Answer = (request, response) => {
    const stream = { request, response, isClosed: false }
    response.once('close', () => {
      stream.isClosed = true
    })
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    response.flushHeaders()
    streams.push(stream)
  }
  return { answer, streams }
}

describe('an upload', () => {
  it('of 100 MB passes as it is, whether it says its length or not, and leaves the memory flat', async () => {
    const { rss, upload } = await start({}, { catalog: digest })
    await upload(pieces(20).body).answered // so that what is measured is not the warm-up
    const beforeMiB = await rss()
    let peakMiB = 0
    const sampling = setInterval(() => void rss().then((now) => (peakMiB = Math.max(peakMiB, now))), 50)
    const plain = await upload(pieces(100).body).answered
    const sized = await upload(pieces(100).body, { 'content-length': String(100 * MiB) }).answered
    clearInterval(sampling)
    const hash = createHash('sha256')
    for await (const chunk of pieces(100).body) hash.update(chunk)
    const expected = { byteCount: 100 * MiB, sha256: hash.digest('hex') }
    expect(plain).toEqual({ status: 200, body: { ...expected, length: null } })
    expect(sized).toEqual({ status: 200, body: { ...expected, length: String(100 * MiB) } })
    expect(peakMiB).toBeGreaterThan(0)
    expect(peakMiB - beforeMiB).toBeLessThan(48)
  })

  it('waits for a service that does not read, and goes on when it does', async () => {
    const gate = Promise.withResolvers<void>()
    const patient: Answer = async (request, response) => {
      await gate.promise
      digest(request, response)
    }
    const { upload } = await start({}, { catalog: patient })
    const { body, taken } = pieces(60)
    const { answered } = upload(body)
    await vi.waitFor(() => expect(taken.count).toBeGreaterThan(0))
    await vi.waitFor(
      async () => {
        const before = taken.count
        await elapse(200)
        expect(taken.count).toBe(before)
      },
      { timeout: 10_000 },
    )
    expect(taken.count).toBeLessThan(30) // what fits into the sockets between
    gate.resolve()
    expect((await answered).body.byteCount).toBe(60 * MiB)
  })

  it('that is too large is refused, at once if it says so, else when it is', async () => {
    const { upload } = await start({ RATE_LIMIT_FILE: policyFile({}, limitImports('2MiB')) }, { catalog: digest })
    const tooLarge = { status: 413, body: expect.objectContaining({ code: 'body-too-large' }) }
    const said = pieces(50)
    expect(await upload(said.body, { 'content-length': String(50 * MiB) }).answered).toEqual(tooLarge)
    expect(await upload(pieces(3).body).answered).toEqual(tooLarge)
    expect(await upload(pieces(2).body).answered).toMatchObject({ status: 200 })
  })

  it('that stops coming is given up, and one that is only slow is not', async () => {
    const { upload } = await start({ STREAM_IDLE_MS: '800' }, { catalog: digest })
    const slowly = async function* () {
      for (let i = 0; i < 12; i++) {
        yield Buffer.from('piece')
        await elapse(100)
      }
    }
    expect(await upload(Readable.from(slowly())).answered).toMatchObject({ status: 200, body: { byteCount: 60 } })
    const stalled = new Readable({ read() {} })
    stalled.push('the beginning')
    expect(await upload(stalled).answered).toMatchObject({ status: 400, body: { code: 'upload-stalled' } })
  })

  it('that the service refuses before it has read it: the refusal arrives', async () => {
    const refuse: Answer = (_, response) => {
      response.statusCode = 403
      answerJson(response, { code: 'admin-only' })
    }
    const { upload } = await start({}, { catalog: refuse })
    for (let round = 0; round < 5; round++) {
      expect(await upload(pieces(8).body).answered).toEqual({ status: 403, body: { code: 'admin-only' } })
    }
  })

  it('is not sent a second time when the service dies under it, whatever the client says', async () => {
    let receivedCount = 0
    const dying: Answer = (request) => {
      receivedCount++
      request.once('data', () => request.socket.destroy())
    }
    const { upload } = await start({}, { catalog: dying })
    const headers = { 'idempotency-key': randomUUID() }
    expect(await upload(pieces(8).body, headers).answered).toMatchObject({
      status: 503,
      body: { code: 'service-unavailable' },
    })
    expect(receivedCount).toBe(1)
  })

  it('ends at the service when the client goes away', async () => {
    const arrived = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<boolean>()
    const reading: Answer = (request) => {
      request.once('data', arrived.resolve).once('close', () => ended.resolve(request.complete))
    }
    const { upload } = await start({}, { catalog: reading })
    const endless = new Readable({ read() {} })
    endless.push('a beginning')
    const { request } = upload(endless)
    await arrived.promise
    request.destroy()
    expect(await ended.promise).toBe(false)
  })
})

describe('an event stream', () => {
  it('has its head before the first event, each event when it is sent, and the headers of both sides', async () => {
    const { answer, streams } = eventSource()
    const { open, signIn } = await start({}, { order: answer })
    const { response } = await open({ ...(await signIn()), 'last-event-id': '7', accept: 'text/event-stream' })
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    expect(response.headers['content-encoding']).toBeUndefined()
    const [stream] = streams
    expect(stream?.request.headers).toMatchObject({ 'last-event-id': '7', accept: 'text/event-stream' })
    for (let id = 8; id < 28; id++) {
      stream?.response.write(`id: ${id}\ndata: {}\n\n`) // the next one only when this one has arrived
      const [chunk] = await once(response, 'data')
      expect(String(chunk)).toBe(`id: ${id}\ndata: {}\n\n`)
    }
    stream?.response.end()
    await once(response, 'end')
    expect(response.complete).toBe(true)
  })

  it('ends at the service as soon as the client has gone', async () => {
    const { answer, streams } = eventSource()
    const { open, log } = await start({}, { order: answer })
    const { request } = await open()
    request.destroy()
    await vi.waitFor(() => expect(streams[0]?.isClosed).toBe(true), { timeout: 5_000 })
    await vi.waitFor(() => expect(log()).toContain('stream aborted'))
    expect(log()).not.toMatch(/"level":"(warn|error)"/)
  })

  it('ends at the client when the instance is killed, and goes on at another one', async () => {
    const { answer, streams } = eventSource()
    const { open, register, addInstance } = await start({}, { order: (_, response) => response.writeHead(503).end() })
    const { child, port } = await eventProcess()
    await register('order', 'order-doomed', port)
    const first = await vi.waitFor(
      async () => {
        const opened = await open()
        expect(opened.response.statusCode).toBe(200)
        return opened.response
      },
      { timeout: 10_000, interval: 50 },
    )
    expect(String((await once(first, 'data'))[0])).toBe('id: 1\ndata: {}\n\n')
    await addInstance('order', answer, 'order-other')
    child.kill('SIGKILL')
    await expect(text(first)).rejects.toThrow('aborted')
    const second = await vi.waitFor(
      async () => {
        const opened = await open({ 'last-event-id': '1' })
        expect(opened.response.statusCode).toBe(200)
        return opened.response
      },
      { timeout: 10_000, interval: 50 },
    )
    expect(second.headers['content-type']).toBe('text/event-stream')
    expect(streams.at(-1)?.request.headers['last-event-id']).toBe('1')
  })

  it('holds the service back when the client does not read, and stays small here', async () => {
    let writtenMiB = 0
    const pouring: Answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const piece = Buffer.alloc(MiB, ': filling\n')
      const source = new Readable({
        read() {
          if (writtenMiB < 60) writtenMiB++
          this.push(writtenMiB < 60 ? piece : null)
        },
      })
      source.pipe(response)
    }
    const { open, rss } = await start({}, { order: pouring })
    const beforeMiB = await rss()
    const { response } = await open()
    response.pause()
    await vi.waitFor(
      async () => {
        const before = writtenMiB
        await elapse(200)
        expect([writtenMiB, writtenMiB > 0]).toEqual([before, true])
      },
      { timeout: 10_000 },
    )
    expect(writtenMiB).toBeLessThan(30)
    expect((await rss()) - beforeMiB).toBeLessThan(48)
    expect((await buffer(response)).length).toBe(59 * MiB)
  })

  it('whose service falls silent is ended, and so is one that is old', async () => {
    const { answer, streams } = eventSource()
    const silent = await start({ STREAM_IDLE_MS: '500' }, { order: answer })
    await expect(text((await silent.open()).response)).rejects.toThrow('aborted')
    const old = await start({ STREAM_MAX_MS: '500' }, { order: answer })
    const { response } = await old.open()
    response.resume()
    await once(response, 'end')
    expect(response.complete).toBe(true)
    await vi.waitFor(() => expect(streams.map(({ isClosed }) => isClosed)).toEqual([true, true]))
  })

  it('that is old is ended even if its client does not read', async () => {
    let isOver = false
    const pouring: Answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      Readable.from(pieces(60, Buffer.alloc(MiB, ': filling\n')).body).pipe(response)
      response.once('close', () => {
        isOver = true
      })
    }
    const { open, metric } = await start({ STREAM_MAX_MS: '500' }, { order: pouring })
    const { response } = await open()
    response.pause()
    await vi.waitFor(() => expect(isOver).toBe(true), { timeout: 10_000 })
    await vi.waitFor(async () => expect(await metric('gateway_open_streams')).toBe(0), { timeout: 10_000 })
  })

  it('is one of so many: beyond them 503, for one user 429, until one is closed', async () => {
    const { answer } = eventSource()
    const env = { STREAM_MAX_COUNT: '3', STREAM_MAX_COUNT_PER_CALLER: '2' }
    const { open, signIn, metric, upload } = await start(env, { order: answer, catalog: digest })
    const [ada, grace] = [await signIn(), await signIn()]
    const one = await open(ada)
    await open(ada)
    const third = (await open(ada)).response
    expect([third.statusCode, Number(third.headers['retry-after'])]).toEqual([429, 5])
    expect(await json(third)).toMatchObject({ code: 'too-many-streams' })
    await open(grace)
    expect(await metric('gateway_open_streams')).toBe(3)
    const fourth = (await open(grace)).response
    expect([fourth.statusCode, Number(fourth.headers['retry-after'])]).toEqual([503, 5])
    expect(await json(fourth)).toMatchObject({ code: 'streams-exhausted' })
    expect((await upload(pieces(1).body).answered).status).toBe(200) // to another service
    one.request.destroy()
    const again = async () => (await open(ada)).response.statusCode
    await vi.waitFor(async () => expect(await again()).toBe(200), { timeout: 5_000 })
  })

  it('that is refused is an ordinary answer, and takes no place', async () => {
    const refuse: Answer = (_, response) => {
      response.statusCode = 404
      answerJson(response, { code: 'order-not-found' })
    }
    const { open } = await start({ STREAM_MAX_COUNT: '1' }, { order: refuse })
    for (let round = 0; round < 5; round++) {
      const { response } = await open()
      expect([response.statusCode, await json(response)]).toEqual([404, { code: 'order-not-found' }])
    }
  })
})

it('a client that does not wait for its answer is no failure of ours', async () => {
  const arrived = Promise.withResolvers<void>()
  const { url, log } = await start({}, { order: () => arrived.resolve() })
  const request = httpRequest(`${url}/api/cart`, { agent: false }).end()
  request.on('error', () => {})
  await arrived.promise
  request.destroy()
  await vi.waitFor(() => expect(log()).toMatch(/"level":"info".*"status":499/), { timeout: 5_000 })
  expect(log()).not.toMatch(/"level":"(warn|error)"/)
})

describe('a gateway that is told to stop', () => {
  it('ends its event streams, so that browsers go elsewhere, and finishes the upload', async () => {
    const { answer } = eventSource()
    const gateway = await start({ DRAIN_MS: '100' }, { order: answer, catalog: digest })
    const { response } = await gateway.open()
    const slow = new Readable({ read() {} })
    slow.push('first half, ')
    const { answered } = gateway.upload(slow)
    const [exit] = await Promise.all([
      gateway.stopProcess(),
      once(response.resume(), 'end').then(() => slow.push('second half') && slow.push(null)),
    ])
    expect(response.complete).toBe(true)
    expect(await answered).toMatchObject({ status: 200, body: { byteCount: 23 } })
    expect(exit).toMatchObject({ code: 0 })
  })
})

/** A process that answers each request with one event and then nothing. */
async function eventProcess(): Promise<{ child: ChildProcess; port: number }> {
  const source = `
    const server = require('node:http').createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('id: 1\\ndata: {}\\n\\n')
    })
    server.listen(0, '127.0.0.1', () => process.send(server.address().port))
    process.on('disconnect', () => process.exit())`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [port] = await once(child, 'message')
  return { child, port }
}
