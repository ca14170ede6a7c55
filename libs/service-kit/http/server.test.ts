import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { PriceChange } from '@shop/contracts/order'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { createIdentityMinter, generateIdentityKeys, identityHeader } from '../identity/identity.ts'
import type { Probe } from '../process/health.ts'
import { createLog } from '../telemetry/log.ts'
import { createMetrics } from '../telemetry/metrics.ts'
import { defineErrors } from './errors.ts'
import { createServer, type ServerOptions } from './server.ts'

const keys = generateIdentityKeys()
const guest = { [identityHeader]: createIdentityMinter(keys.IDENTITY_PRIVATE_KEY)({ role: 'guest' }) }

function things(options: Partial<ServerOptions> = {}) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const log = createLog({ service: 'things', instanceId: 'things-1', level: 'info', destination })
  const server = createServer({ log, name: 'things', identityPublicKey: keys.IDENTITY_PUBLIC_KEY, ...options })
  const Thing = Type.Object(
    { id: Type.String(), name: Type.String({ description: 'Seen by all' }) },
    { additionalProperties: false },
  )
  server.get(
    '/api/things/:id',
    {
      schema: { params: Type.Object({ id: Type.String() }, { additionalProperties: false }), response: { 200: Thing } },
    },
    (request) => {
      request.log.info('looked')
      return { id: request.params.id, name: 'thing', passwordHash: 'must not leave' }
    },
  )
  server.post('/api/things', { schema: { body: Thing } }, () => ({ stored: true }))
  return { server, logged: () => lines.map((line) => JSON.parse(line)) }
}

describe('one line per request', () => {
  test('with the route and not the URL, and the request id on every line of it', async () => {
    const { server, logged } = things()
    await server.inject({ url: '/api/things/42?secret=1', headers: { ...guest, 'x-request-id': 'req-12345678' } })
    expect(logged()).toEqual([
      expect.objectContaining({ msg: 'looked', requestId: 'req-12345678' }),
      expect.objectContaining({
        msg: 'request completed',
        level: 'info',
        service: 'things',
        instance: 'things-1',
        requestId: 'req-12345678',
        method: 'GET',
        route: '/api/things/:id',
        status: 200,
        durationMs: expect.any(Number),
      }),
    ])
  })

  test('without the body, whatever comes of it', async () => {
    const { server, logged } = things()
    for (const payload of ['{"id":"1","name":"word-in-the-body"}', '{"id":"1","name":"word-in-the-body"'])
      await server.inject({
        method: 'POST',
        url: '/api/things',
        payload,
        headers: { ...guest, 'content-type': 'application/json' },
      })
    expect(logged().map(({ status }) => status)).toEqual([200, 400])
    expect(JSON.stringify(logged())).not.toContain('word-in-the-body')
  })

  test('but not for probes', async () => {
    const { server, logged } = things()
    await server.inject('/health/live')
    await server.inject('/health/ready')
    expect(logged()).toEqual([])
  })
})

describe('the request id', () => {
  test.each([
    ['is kept from the gateway', {}, 'gateway-id_1234', true],
    ['is not kept when it is too short', {}, 'short', false],
    ['is not kept when it could break a log', {}, 'a b\n{"level":"fatal"}', false],
    ['is not kept when it is too long', {}, 'x'.repeat(65), false],
    ['is not taken from outside at the gateway itself', { identity: 'none' } as const, 'gateway-id_1234', false],
  ])('%s', async (_name, options, id, kept) => {
    const { server } = things(options)
    const { headers } = await server.inject({ url: '/api/things/1', headers: { ...guest, 'x-request-id': id } })
    expect(headers['x-request-id'] === id).toBe(kept)
    expect(headers['x-request-id']).toMatch(/^[\w-]{8,64}$/)
  })
})

test('a route whose schema says nothing about unknown fields is refused at the start', async () => {
  const { server } = things()
  const body = Type.Object({ lines: Type.Array(Type.Object({ sku: Type.String() })) }, { additionalProperties: false })
  server.post('/api/lines', { schema: { body } }, () => ({}))
  await expect(server.ready()).rejects.toThrow('additionalProperties is missing in an object of the schema (sku)')
})

test('an answer has the fields of its schema and no others', async () => {
  const { server } = things()
  const response = await server.inject({ url: '/api/things/1', headers: guest })
  expect(response.json()).toEqual({ id: '1', name: 'thing' })
})

test('a route that needs no identity says so itself', async () => {
  const { server } = things()
  server.get('/open', { config: { public: true } }, () => 'open')
  expect((await server.inject('/open')).statusCode).toBe(200)
  expect((await server.inject('/api/things/1')).statusCode).toBe(401)
})

test('a server that needs identities does not start without the key', () => {
  expect(() => things({ identityPublicKey: undefined as never })).toThrow('identityPublicKey')
})

describe('health', () => {
  const probe = (required: boolean): Probe => ({
    name: 'redis',
    required,
    check: () => Promise.reject(new Error('away')),
  })

  test('live is live whatever is away', async () => {
    const { server } = things({ probes: [probe(true)] })
    expect((await server.inject('/health/live')).json()).toEqual({ status: 'live' })
  })

  test.each([
    ['503 without a required dependency', true, 503, 'unready'],
    ['200 and degraded without an optional one', false, 200, 'degraded'],
  ])('ready is %s', async (_name, required, statusCode, status) => {
    const { server } = things({ probes: [probe(required)] })
    const response = await server.inject('/health/ready')
    expect(response.statusCode).toBe(statusCode)
    expect(response.json()).toEqual({
      status,
      checks: [{ name: 'redis', ok: false, required, durationMs: expect.any(Number), error: 'FAILED' }],
    })
    expect(response.headers['cache-control']).toBe('no-store')
  })
})

describe('/docs/json', () => {
  test('describes the routes with their schemas and the shape of a problem', async () => {
    const { server } = things()
    const description = (await server.inject('/docs/json')).json()
    expect(description).toMatchObject({ openapi: '3.1.0', info: { title: 'things' } })
    expect(Object.keys(description.paths)).toEqual(['/api/things/{id}', '/api/things'])
    const { responses } = description.paths['/api/things/{id}'].get
    expect(responses['200'].content['application/json'].schema.properties.name.description).toBe('Seen by all')
    expect(responses['400'].content['application/problem+json'].schema).toEqual({
      $ref: '#/components/schemas/Problem',
    })
    expect(responses['400'].description).toContain('`validation-failed`')
    expect(description.components.schemas.Problem.required).toContain('code')
    expect(Object.keys(description.paths['/api/things'].post.responses)).toEqual(['400', '413', '415', '503'])
  })

  test('shows the members that an error adds to a problem, and the code of each field', async () => {
    const { server } = things()
    const { soldOut } = defineErrors({ soldOut: ['conflict', 'sold-out', 'Sold out', { members: PriceChange }] })
    server.post('/api/sales', { config: { refusals: [soldOut] } }, () => ({}))
    const { paths, components } = (await server.inject('/docs/json')).json()
    const problem = { $ref: '#/components/schemas/Problem' }
    expect(paths['/api/sales'].post.responses['409'].content['application/problem+json'].schema).toEqual({
      anyOf: [{ allOf: [problem, { $ref: '#/components/schemas/PriceChange' }] }, problem],
    })
    expect(components.schemas.PriceChange.required).toContain('totalCents')
    expect(components.schemas.FieldError.required).toContain('code')
  })

  test('is made once', async () => {
    const { server } = things()
    const [first, second] = await Promise.all([server.inject('/docs/json'), server.inject('/docs/json')])
    expect(first.body).toBe(second.body)
  })
})

describe('metrics', () => {
  test('count requests by route and not by URL', async () => {
    const { server } = things()
    for (const id of [1, 2, 3]) await server.inject({ url: `/api/things/${id}`, headers: guest })
    for (const path of ['/nowhere/4', '/nowhere/5']) await server.inject(path)
    const { text } = await server.metrics.page()
    expect(text).toMatch(/http_request_duration_seconds_count\{.*route="\/api\/things\/:id",status="200",.*\} 3/)
    expect(text).toMatch(/http_request_duration_seconds_count\{.*route="none",status="404",.*\} 2/)
    expect(text).not.toContain('nowhere')
  })

  test('count problems by status and code, and nothing else of them', async () => {
    const { server } = things()
    await server.inject({ url: '/api/things/1', headers: guest })
    for (const path of ['/nowhere/4', '/nowhere/5', '/%zz']) await server.inject(path)
    const { text } = await server.metrics.page()
    const problems = text.split('\n').filter((line) => line.startsWith('http_problems_total{'))
    expect(problems).toEqual([
      'http_problems_total{status="404",code="route-not-found",service="things",instance=""} 2',
      'http_problems_total{status="400",code="url-malformed",service="things",instance=""} 1',
    ])
  })

  test('count problems of more codes than a service has together', () => {
    const metrics = createMetrics({ service: 'things', instanceId: '' })
    for (let i = 0; i < 510; i++) metrics.countProblem(400, `code-${i}`)
    return expect(metrics.page().then(({ text }) => text.match(/code="other"[^}]*} (\d+)/)?.[1])).resolves.toBe('10')
  })

  test('take those of the service', async () => {
    const { server } = things()
    server.metrics.extend((prom, registers) => new prom.Gauge({ name: 'early', help: 'e', registers }).set(1))
    server.metrics.extend((prom, registers) => new prom.Gauge({ name: 'late', help: 'l', registers }).set(2))
    const { text, contentType } = await server.metrics.page()
    expect(contentType).toContain('text/plain')
    expect(text).toMatch(/^early\{service="things",instance=""\} 1$/m)
    expect(text).toMatch(/^late\{service="things",instance=""\} 2$/m)
  })
})

describe('a body that takes too long', () => {
  async function answerTo(head: string) {
    const { server } = things({ bodyTimeoutMs: 100 })
    server.addContentTypeParser('text/plain', (_request, payload, done) => done(null, payload))
    server.post('/streamed', { config: { public: true, streamsBody: true } }, async ({ body }) => ({
      length: (await text(body as NodeJS.ReadableStream)).length,
    }))
    await server.listen({ port: 0, host: '127.0.0.1' })
    const socket = connect((server.server.address() as AddressInfo).port, '127.0.0.1')
    socket.write(`${head}\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nab`)
    setTimeout(() => socket.writable && socket.end('cd'), 1_000)
    const answer = await text(socket)
    await server.close()
    return answer
  }

  test('is refused', async () => {
    const typed = 'content-type: application/json'
    expect(
      await answerTo(`POST /api/things HTTP/1.1\r\n${identityHeader}: ${guest[identityHeader]}\r\n${typed}`),
    ).toMatch(/^HTTP\/1.1 408 [\s\S]*"code":"request-timeout"/)
  })

  test('is left to a route that streams it', async () => {
    expect(await answerTo('POST /streamed HTTP/1.1\r\ncontent-type: text/plain')).toMatch(
      /^HTTP\/1.1 200 [\s\S]*"length":4/,
    )
  })
})
