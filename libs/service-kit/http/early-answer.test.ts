/** Answers that are ready before the body has come: the client reads them, however much it still sends. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { Type } from 'typebox'
import { afterAll, describe, expect, test } from 'vitest'
import { generateIdentityKeys } from '../identity/identity.ts'
import { createLog } from '../telemetry/log.ts'
import { createServer } from './server.ts'

const log = createLog({
  service: 'test',
  instanceId: 'test-1',
  destination: new Writable({ write: (_c, _e, done) => done() }) as never,
})
const MiB = 1_048_576

const server = createServer({ log, identityPublicKey: generateIdentityKeys().IDENTITY_PUBLIC_KEY, lingerMs: 1_000 })
const config = { public: true }
server.post('/open', { config, schema: { body: Type.Object({}, { additionalProperties: false }) } }, () => ({}))
server.post('/private', () => ({}))
server.get('/read', { config }, () => ({ read: true }))
await server.listen({ port: 0, host: '127.0.0.1' })
const { port } = server.server.address() as AddressInfo
afterAll(() => server.close())

interface Sending {
  path: string
  byteCount: number
  isChunked?: boolean
  headers?: string[]
  version?: string
}

/** Writes the whole request first, as programs do that do not expect an answer so early, and only then reads. */
async function sendAllThenRead({ path, byteCount, isChunked = false, headers = [], version = '1.1' }: Sending) {
  const socket = connect(port, '127.0.0.1').pause()
  const failed = once(socket, 'error').then(([error]) => Promise.reject(error))
  failed.catch(() => {})
  const length = isChunked ? 'transfer-encoding: chunked' : `content-length: ${byteCount}`
  const head = [`POST ${path} HTTP/${version}`, 'host: shop', 'content-type: application/json', length, ...headers]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  const piece = Buffer.alloc(65_536, ' ')
  for (let sent = 0; sent < byteCount; sent += piece.length) {
    if (isChunked) socket.write(`${piece.length.toString(16)}\r\n`)
    const hasRoom = socket.write(piece)
    if (isChunked) socket.write('\r\n')
    if (!hasRoom) await Promise.race([once(socket, 'drain'), failed])
  }
  if (isChunked) socket.write('0\r\n\r\n')
  socket.resume().end()
  const [head_ = '', body = ''] = (await Promise.race([text(socket), failed])).split('\r\n\r\n')
  return { status: Number(/^HTTP\/1.1 (\d+)/.exec(head_)?.[1]), code: JSON.parse(body).code as string }
}

describe.each([[false], [true]])('a body of 16 MiB, chunked: %s', (isChunked) => {
  test.each([
    ['/open', [], 413, 'body-too-large'],
    ['/private', [], 401, 'identity-missing'],
    ['/nowhere', [], 404, 'route-not-found'],
    ['/read', [], 405, 'method-not-allowed'],
    ['/open', ['connection: close'], 413, 'body-too-large'],
    ['/private', ['connection: close'], 401, 'identity-missing'],
    ['/%zz', [], 400, 'url-malformed'],
  ])('to %s with %j is answered with %i, which arrives', async (path, headers, status, code) => {
    const answers = []
    for (let i = 0; i < 3; i++) answers.push(await sendAllThenRead({ path, byteCount: 16 * MiB, isChunked, headers }))
    expect(answers).toEqual(Array.from({ length: 3 }, () => ({ status, code })))
  })
})

test('a client of HTTP/1.0 reads it too', async () => {
  const answer = await sendAllThenRead({ path: '/open', byteCount: 16 * MiB, version: '1.0' })
  expect(answer).toEqual({ status: 413, code: 'body-too-large' })
})

test('a body without end is cut off after a moment', async () => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('POST /private HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n')
  const [answer] = await once(socket, 'data')
  expect(String(answer)).toMatch(/^HTTP\/1.1 401/)
  const pump = setInterval(() => socket.write('1\r\nx\r\n'), 20)
  await once(socket, 'close')
  clearInterval(pump)
})

test('a client that waits for 100 Continue is told before it sends: go on, or why not', async () => {
  const ask = async (path: string, byteCount: number) => {
    const socket = connect(port, '127.0.0.1')
    const head = [
      `POST ${path} HTTP/1.1`,
      'host: shop',
      'content-type: application/json',
      `content-length: ${byteCount}`,
    ]
    socket.write(`${[...head, 'expect: 100-continue'].join('\r\n')}\r\n\r\n`)
    const [first] = await once(socket, 'data')
    if (!String(first).startsWith('HTTP/1.1 100')) return text(socket.end()).then((rest) => first + rest)
    socket.end('{}')
    return first + (await text(socket))
  }
  expect(await ask('/open', 2)).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200/)
  expect(await ask('/private', 2)).toMatch(/^HTTP\/1.1 401 .*connection: close/is)
  expect(await ask('/open', 3 * MiB)).toMatch(/^HTTP\/1.1 413 .*connection: close/is)
})

test('another expectation than 100-continue is refused', async () => {
  const socket = connect(port, '127.0.0.1')
  socket.end('GET /read HTTP/1.1\r\nhost: shop\r\nexpect: gold\r\n\r\n')
  expect(await text(socket)).toMatch(/^HTTP\/1.1 417 .*application\/problem\+json.*"code":"expectation-failed"/is)
})

const get = 'GET /read HTTP/1.1\r\nconnection: close\r\n'

test.each(['', 'shop', 'SHOP_1.example.:8080', '[::1]:80', '127.0.0.1', 'm%C3%BCller', 'shop:'])(
  'the Host "%s" is served',
  async (host) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${get}host: ${host}\r\n\r\n`)
    expect(await text(socket)).toMatch(/^HTTP\/1.1 200 /)
  },
)

test.each<readonly [name: string, request: string, status: number, code: string]>([
  ['a request without Host', 'GET /read HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'host-missing'],
  ['a request with two Hosts', `${get}host: shop\r\nHost: shop\r\n\r\n`, 400, 'host-repeated'],
  ...[
    'a b/c?d@e:99999',
    'a b',
    'user@shop',
    'shop/path',
    'shop:port',
    'shop:123456',
    '[::1',
    'shop,evil:1:2',
    'a%zz',
  ].map((host) => [`the Host ${host}`, `${get}host: ${host}\r\n\r\n`, 400, 'host-invalid'] as const),
  [
    'a target with a user',
    'GET http://user@shop/read HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n',
    400,
    'host-invalid',
  ],
  ['no HTTP', 'hello\r\n\r\n', 400, 'request-malformed'],
  [
    'headers that are too large',
    `GET / HTTP/1.1\r\nhost: shop\r\nx: ${'x'.repeat(3 * MiB)}\r\n\r\n`,
    431,
    'headers-too-large',
  ],
])('%s is answered, and the answer arrives', async (_, request, status, code) => {
  const socket = connect(port, '127.0.0.1').pause()
  socket.write(request, () => socket.resume().end())
  const answer = await text(socket)
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(answer).toContain(`"code":"${code}"`)
})

test.each([
  ['GET /read HTTP/1.1\r\nhost: shop\r\n\r\n'],
  ['POST /open HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'],
])('nonsense on a connection whose requests are all answered gets a 400: after %j', async (request) => {
  const socket = connect(port, '127.0.0.1')
  socket.write(request)
  expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /)
  socket.write('NONSENSE\r\n\r\n')
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /)
})
