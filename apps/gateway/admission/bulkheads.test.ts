/** Requests and connections under way at once, over real sockets. */
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Answer, startGateway } from '../gateway.fixture.ts'
import { policyFile } from '../limits/policies.fixture.ts'

interface Numbers {
  maxConcurrent?: number
  maxConcurrentPerAddress?: number
  bodyMaxBytes?: string
  maxConnectionsPerAddress?: number
}

/** A gateway with these numbers for all classes, and services that answer when they are told to. */
async function start({ maxConnectionsPerAddress = 1_000, ...numbers }: Numbers, env: Record<string, string> = {}) {
  const waiting: ServerResponse[] = []
  const hold: Answer = (request, response) => {
    request.resume()
    if (request.url?.startsWith('/api/products')) response.end('{}')
    else waiting.push(response)
  }
  const unbounded = { maxConcurrent: 1_000, maxConcurrentPerAddress: 1_000, bodyMaxBytes: '1MiB' }
  const RATE_LIMIT_FILE = policyFile({ address: { limit: '1 per 1h', burst: 100 } }, (file) => {
    const browse = { routes: ['browse', 'import'], ...unbounded, bodyMaxBytes: numbers.bodyMaxBytes ?? '1MiB' }
    const { maxConcurrent = unbounded.maxConcurrent } = numbers
    file.bulkheads = [browse, { routes: 'all', ...unbounded, maxConcurrentPerAddress: maxConcurrent, ...numbers }]
    file.maxConnectionsPerAddress = maxConnectionsPerAddress
  })
  const gateway = await startGateway({ RATE_LIMIT_FILE, ...env }, { order: hold, user: hold, catalog: hold })
  onTestFinished(gateway.stop)
  return { ...gateway, waiting, open, ask }

  /** Sends a request and does not wait for its answer. */
  function open(path = '/api/cart', from = '127.0.0.1', method = 'GET') {
    const request = httpRequest(gateway.url + path, { agent: false, localAddress: from, method }).end()
    request.on('error', () => {})
    return request
  }

  async function ask(path = '/api/cart', from = '127.0.0.1') {
    const [response] = (await once(open(path, from), 'response')) as [IncomingMessage]
    const body = await text(response)
    const { code } = JSON.parse(body || '{}') as { code?: string }
    return { status: response.statusCode, code, headers: response.headers }
  }
}

const patiently = { timeout: 15_000, interval: 10 }

describe('a bulkhead', () => {
  test('refuses one request more than it has places, and leaves other classes alone', async () => {
    const gateway = await start({ maxConcurrent: 2 })
    gateway.open()
    gateway.open('/api/cart', '127.0.0.2')
    await vi.waitFor(() => expect(gateway.waiting).toHaveLength(2), patiently)
    const refused = await gateway.ask('/api/orders', '127.0.0.3')
    expect(refused).toMatchObject({ status: 503, code: 'overloaded', headers: { 'retry-after': '1' } })
    expect(await gateway.ask('/api/products')).toMatchObject({ status: 200 })
  })

  test('refuses the address that has too many, and no other', async () => {
    const gateway = await start({ maxConcurrentPerAddress: 1 })
    gateway.open('/api/cart', '127.0.0.2')
    await vi.waitFor(() => expect(gateway.waiting).toHaveLength(1), patiently)
    const refused = await gateway.ask('/api/cart', '127.0.0.2')
    expect(refused).toMatchObject({ status: 429, code: 'too-many-concurrent', headers: { 'retry-after': '1' } })
    gateway.open('/api/cart', '127.0.0.3')
    await vi.waitFor(() => expect(gateway.waiting).toHaveLength(2), patiently)
  })

  const ends: [how: string, end: (request: ReturnType<typeof httpRequest>, answer: ServerResponse) => void][] = [
    ['is answered', (_request, answer) => answer.end('{}')],
    ['fails in its service', (_request, answer) => answer.destroy()],
    ['is abandoned by its client', (request) => request.destroy()],
    ['is answered with an error', (_request, answer) => answer.writeHead(500).end('no')],
  ]
  test.each(ends)('gets its place back when a request %s', async (_how, end) => {
    const gateway = await start({ maxConcurrent: 1 })
    for (let round = 1; round <= 3; round++) {
      const request = gateway.open('/api/orders', '127.0.0.2', 'POST')
      await vi.waitFor(() => expect(gateway.waiting).toHaveLength(round), patiently)
      expect((await gateway.ask('/api/orders', '127.0.0.9')).status).toBe(503)
      end(request, gateway.waiting[round - 1] as ServerResponse)
      await vi.waitFor(async () => {
        expect((await gateway.ask('/api/nowhere', '127.0.0.9')).status).toBe(404)
      }, patiently)
    }
  })

  test('gets the places of pipelined requests back when their connection breaks', async () => {
    const gateway = await start({ maxConcurrent: 3 })
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /api/cart HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(3))
    await vi.waitFor(() => expect(gateway.waiting).toHaveLength(3), patiently)
    expect((await gateway.ask('/api/orders', '127.0.0.9')).status).toBe(503)
    socket.destroy()
    await vi.waitFor(async () => expect((await gateway.ask('/api/nowhere', '127.0.0.9')).status).toBe(404), patiently)
  })

  test('gets the place of an event stream back when the stream ends', async () => {
    const gateway = await start({ maxConcurrent: 1 })
    const request = gateway.open('/api/orders/1/events')
    await vi.waitFor(() => expect(gateway.waiting).toHaveLength(1), patiently)
    const [stream] = gateway.waiting
    stream?.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n')
    await once(request, 'response')
    expect((await gateway.ask('/api/nowhere', '127.0.0.9')).status).toBe(503)
    stream?.end()
    await vi.waitFor(async () => expect((await gateway.ask('/api/nowhere', '127.0.0.9')).status).toBe(404), patiently)
  })

  test('charges nothing for what it refuses', async () => {
    const gateway = await start({ maxConcurrentPerAddress: 1 })
    const left = async () => {
      const { headers } = await gateway.ask('/api/products')
      return Number(/"address-burst";r=(\d+)/.exec(String(headers.ratelimit))?.[1])
    }
    gateway.open()
    await vi.waitFor(() => expect(gateway.waiting).toHaveLength(1), patiently)
    const before = await left()
    for (let i = 0; i < 20; i++) expect((await gateway.ask()).headers.ratelimit).toBeUndefined()
    expect(await left()).toBe(before - 1)
  })
})

describe('a body', () => {
  const send = (url: string, path: string, body: Readable | Buffer) =>
    fetch(url + path, { method: 'POST', body: body as never, duplex: 'half' } as RequestInit).then(async (response) => {
      return `${response.status} ${((await response.json()) as { code?: string }).code}`
    })
  const chunks = (count: number) => Readable.from(Array.from({ length: count }, () => Buffer.alloc(1_024, ' ')))

  test.each([
    ['/api/orders', 'with its length', () => Buffer.alloc(10_241)],
    ['/api/orders', 'in chunks', () => chunks(11)],
    ['/api/products/import', 'with its length', () => Buffer.alloc(10_241)],
    ['/api/products/import', 'in chunks', () => chunks(11)],
  ])('to %s %s is refused when it is larger than its class may send', async (path, _how, body) => {
    const gateway = await start({ bodyMaxBytes: '10KiB' })
    expect(await send(gateway.url, path, body())).toBe('413 body-too-large')
  })

  test('in chunks arrives whole when it is not larger', async () => {
    const gateway = await start({ bodyMaxBytes: '10KiB' })
    const sent = send(gateway.url, '/api/orders', chunks(10))
    await vi.waitFor(() => expect(gateway.waiting).toHaveLength(1), patiently)
    gateway.waiting[0]?.end('{"code":"whole"}')
    expect(await sent).toBe('200 whole')
  })
})

describe('a body in chunks', () => {
  const chunk = `${(20_000).toString(16)}\r\n${' '.repeat(20_000)}\r\n`
  const dial = (url: string, head: string) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
    socket.write(`${head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`)
    return socket
  }

  test.each(['GET /api/products', 'HEAD /api/products', 'GET /health/live'])(
    'of %s is not read, and its size is no reason for anything',
    async (head) => {
      const { url } = await start({ bodyMaxBytes: '10KiB' })
      const socket = dial(url, head)
      socket.write('0\r\n\r\n')
      expect((await text(socket)).slice(9, 12)).toBe('200')
    },
  )

  test('whose client leaves in the middle of it leaves nothing behind', async () => {
    const gateway = await start({ maxConcurrent: 1 })
    dial(gateway.url, 'POST /api/orders').once('connect', function leave(this: Socket) {
      setImmediate(() => this.destroy())
    })
    await vi.waitFor(async () => expect((await gateway.ask('/api/nowhere', '127.0.0.9')).status).toBe(404), patiently)
  })
})

describe('connections', () => {
  const dial = (url: string, localAddress: string) => {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', localAddress })
    socket.on('error', () => {})
    return socket
  }
  /** Whether the gateway answers on it. */
  const isServed = (socket: Socket) =>
    new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true)).once('close', () => resolve(false))
      socket.write('GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n')
    })

  test('of one address beyond the cap are closed unread, those of others are not, and a place that is free is given again', async () => {
    const { url, metrics } = await start({ maxConnectionsPerAddress: 3 })
    const held = Array.from({ length: 3 }, () => dial(url, '127.0.0.2'))
    expect(await Promise.all(held.map(isServed))).toEqual([true, true, true])
    expect(await isServed(dial(url, '127.0.0.2'))).toBe(false)
    expect(await isServed(dial(url, '127.0.0.3'))).toBe(true)
    held[0]?.destroy()
    await vi.waitFor(async () => expect(await isServed(dial(url, '127.0.0.2'))).toBe(true), patiently)
    const { text: page } = await metrics.page()
    expect(page).toMatch(/gateway_refusals_total\{reason="connections",by="address",[^}]*\} [1-9]/)
  })

  test('of a trusted proxy have no cap', async () => {
    const { url } = await start({ maxConnectionsPerAddress: 1 }, { TRUST_PROXY: '127.0.0.2' })
    const ofProxy = Array.from({ length: 5 }, () => dial(url, '127.0.0.2'))
    expect(await Promise.all(ofProxy.map(isServed))).toEqual([true, true, true, true, true])
    const others = [dial(url, '127.0.0.3'), dial(url, '127.0.0.3')]
    expect((await Promise.all(others.map(isServed))).filter(Boolean)).toHaveLength(1)
  })
})
