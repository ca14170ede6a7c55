import { once } from 'node:events'
import { connect } from 'node:net'
import { ProductPatch, Sku } from '@shop/contracts/product'
import { BreakerOpen } from '@shop/redis-kit/circuit-breaker'
import { Type } from 'typebox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createIdentityMinter,
  generateIdentityKeys,
  identityHeader,
  requireAdmin,
  requireUser,
} from '../identity/identity.ts'
import { createLog } from '../telemetry/log.ts'
import { createCursor } from './cursor.ts'
import { defineErrors, ShopError } from './errors.ts'
import { problemOf } from './problem.ts'
import { createServer } from './server.ts'

const errors = defineErrors({
  thingNotFound: ['not-found', 'thing-not-found', (id: string) => `There is no thing ${id}`],
  busy: ['too-many', 'thing-busy', 'The thing is busy', { retryAfterMs: 1_500 }],
})
const keys = generateIdentityKeys()
const guest = createIdentityMinter(keys.IDENTITY_PRIVATE_KEY)({ role: 'guest' })
const customer = createIdentityMinter(keys.IDENTITY_PRIVATE_KEY)({ role: 'customer', userId: 'u1', session: 's1' })
const stranger = createIdentityMinter(generateIdentityKeys().IDENTITY_PRIVATE_KEY)({ role: 'admin', userId: 'u1' })
const lines: string[] = []
const log = createLog({
  service: 'test',
  instanceId: 'test-1',
  destination: { write: (line) => void lines.push(line) },
})
const closed = { additionalProperties: false }
const cursor = createCursor(Type.Tuple([Type.Integer(), Sku]))
const server = thingServer()

function thingServer() {
  const app = createServer({ log, name: 'things', identityPublicKey: keys.IDENTITY_PUBLIC_KEY })
  const Item = Type.Object(
    { quantity: Type.Integer({ minimum: 1, maximum: 99 }), note: Type.Optional(Type.String()) },
    closed,
  )
  const Query = Type.Object(
    {
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
      sort: Type.Optional(Type.Union([Type.Literal('price'), Type.Literal('-price')])),
      cursor: Type.Optional(Type.String({ maxLength: 500 })),
      sku: Type.Optional(Type.Array(Sku)),
    },
    closed,
  )
  const handlers = { thing: () => ({ ok: true }) }
  app.put('/api/things/:sku', { schema: { params: Type.Object({ sku: Sku }, closed), body: Item } }, handlers.thing)
  app.patch('/api/things/:sku', { schema: { body: ProductPatch } }, handlers.thing)
  app.delete('/api/things/:sku', handlers.thing)
  app.get('/api/things', { schema: { querystring: Query } }, (request) => ({
    query: request.query,
    position: request.query.cursor && cursor.decode(request.query.cursor),
  }))
  app.get(
    '/api/things/by-id/:id',
    { schema: { params: Type.Object({ id: Type.String({ format: 'uuid' }) }, closed) } },
    (request) => {
      throw errors.thingNotFound(request.params.id)
    },
  )
  app.get('/api/me', (request) => requireUser(request))
  app.get('/api/admin', (request) => requireAdmin(request))
  app.get('/api/busy', () => {
    throw errors.busy()
  })
  app.get('/api/fail', (request) => {
    throw failures[(request.query as { with: string }).with]
  })
  return app
}

const coded = (code: string, message = 'secret detail') => Object.assign(new Error(message), { code })
const failures: Record<string, unknown> = {
  bug: new TypeError('cannot read x of undefined at postgres://app:hunter2@db/app'),
  wrapped: new Error('outer', { cause: new Error('middle', { cause: coded('ECONNREFUSED') }) }),
  pgPool: new Error('timeout exceeded when trying to connect'),
  breaker: new BreakerOpen('postgres', 1_500),
  ...Object.fromEntries(
    Object.entries({
      loading: 'LOADING Redis is loading the dataset in memory',
      replicas: 'NOREPLICAS Not enough good replicas to write.',
      disk: 'MISCONF Errors writing to the AOF file: No space left on device',
      busy: 'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
      resharding: 'TRYAGAIN Multiple keys request during rehashing of slot',
      clients: 'ERR max number of clients reached',
    }).map(([name, reply]) => [name, Object.assign(new Error(reply), { name: 'ReplyError' })]),
  ),
  text: 'a string was thrown',
  nothing: undefined,
}
const outageCodes =
  'REDIS_UNAVAILABLE REDIS_OUTCOME_UNKNOWN REDIS_OVERLOADED P1001 P1002 P1008 P2024 P2037 ECONNREFUSED 57P01 57P03 53300'.split(
    ' ',
  )
for (const code of outageCodes) failures[code] = coded(code)

interface Bad {
  name: string
  method?: string
  url?: string
  headers?: Record<string, string>
  body?: string | Buffer
  status: number
  code: string
  field?: { path: string; code: string }
}

const json = { 'content-type': 'application/json' }
const put = { method: 'PUT', url: '/api/things/TEA-1', headers: json }
const validation = { status: 400, code: 'validation-failed' }

const badInputs: Bad[] = [
  { name: 'JSON that ends in the middle', ...put, body: '{"quantity":', status: 400, code: 'body-not-json' },
  { name: 'an empty JSON body', ...put, body: '', status: 400, code: 'body-empty' },
  { name: 'a JSON body of spaces', ...put, body: '   ', status: 400, code: 'body-not-json' },
  { name: 'null for an object', ...put, body: 'null', ...validation, field: { path: '', code: 'type' } },
  { name: 'a list for an object', ...put, body: '[]', ...validation, field: { path: '', code: 'type' } },
  { name: 'no body at all', method: 'PUT', url: put.url, ...validation, field: { path: '', code: 'type' } },
  { name: 'a missing field', ...put, body: '{}', ...validation, field: { path: '/quantity', code: 'required' } },
  {
    name: 'a number in quotes',
    ...put,
    body: '{"quantity":"1"}',
    ...validation,
    field: { path: '/quantity', code: 'type' },
  },
  { name: 'a fraction', ...put, body: '{"quantity":1.5}', ...validation, field: { path: '/quantity', code: 'type' } },
  {
    name: 'a quantity of zero',
    ...put,
    body: '{"quantity":0}',
    ...validation,
    field: { path: '/quantity', code: 'minimum' },
  },
  {
    name: 'a negative quantity',
    ...put,
    body: '{"quantity":-1}',
    ...validation,
    field: { path: '/quantity', code: 'minimum' },
  },
  {
    name: 'a quantity of a billion',
    ...put,
    body: '{"quantity":1000000000}',
    ...validation,
    field: { path: '/quantity', code: 'maximum' },
  },
  {
    name: 'a quantity beyond doubles',
    ...put,
    body: '{"quantity":1e400}',
    ...validation,
    field: { path: '/quantity', code: 'type' },
  },
  {
    name: 'an unknown field',
    ...put,
    body: '{"quantity":1,"price/cents":0}',
    ...validation,
    field: { path: '/price~1cents', code: 'unknown-field' },
  },
  {
    name: 'a patch that changes nothing',
    method: 'PATCH',
    url: put.url,
    headers: json,
    body: '{}',
    ...validation,
    field: { path: '', code: 'minProperties' },
  },
  {
    name: 'a poisoned prototype',
    ...put,
    body: '{"quantity":1,"__proto__":{"admin":true}}',
    status: 400,
    code: 'body-not-json',
  },
  {
    name: 'a poisoned constructor',
    ...put,
    body: '{"quantity":1,"constructor":{"prototype":{"admin":true}}}',
    status: 400,
    code: 'body-not-json',
  },
  { name: 'a NUL in the body', ...put, body: '{"quantity":1,"note":"a\\u0000b"}', status: 400, code: 'nul-character' },
  { name: 'a NUL in the query', url: '/api/things?cursor=%00', status: 400, code: 'nul-character' },
  { name: 'a NUL in the path', method: 'DELETE', url: '/api/things/a%00b', status: 400, code: 'nul-character' },
  ...[
    ['half a pair', '\\ud800'],
    ['the second half', '\\uDC00'],
    ['two first halves', '\\ud83d\\ud83d\\ude00'],
    ['a half behind a pair', '\\ud83d\\ude00\\ude00'],
    ['a half behind a backslash', '\\\\\\ud800'],
    ['a half behind the text of one', '\\\\ud83d\\ude00'],
  ].map(([name, note]) => ({
    ...{ name: `${name} of surrogates in the body`, ...put, status: 400, code: 'lone-surrogate' },
    body: `{"quantity":1,"note":"${note}"}`,
  })),
  {
    name: 'half a surrogate pair as a key',
    ...put,
    body: '{"quantity":1,"\\udfff":1}',
    status: 400,
    code: 'lone-surrogate',
  },
  {
    name: 'half a surrogate pair in the query',
    url: '/api/things?cursor=%ED%A0%80',
    status: 400,
    code: 'lone-surrogate',
  },
  {
    ...{ name: 'half a surrogate pair in the path', method: 'DELETE', url: '/api/things/a%ed%bf%bf' },
    ...{ status: 400, code: 'url-malformed' },
  },
  {
    name: 'a body that is not UTF-8',
    ...put,
    body: Buffer.from([0x22, 0xff, 0x22]),
    status: 400,
    code: 'body-not-utf8',
  },
  {
    name: 'a body of 1 MiB and one byte',
    ...put,
    body: `"${'x'.repeat(1_048_575)}"`,
    status: 413,
    code: 'body-too-large',
  },
  {
    name: 'XML',
    method: 'PUT',
    url: put.url,
    headers: { 'content-type': 'application/xml' },
    body: '<a/>',
    status: 415,
    code: 'unsupported-media-type',
  },
  ...['utf-16', 'latin1', '"iso-8859-1"'].map((charset) => ({
    ...{ name: `JSON in ${charset}`, ...put, status: 415, code: 'charset-unsupported' },
    headers: { 'content-type': `application/json; charset=${charset}` },
    body: '{"quantity":1}',
  })),
  ...['gzip', 'br', 'identity, gzip', 'x'].map((encoding) => ({
    ...{ name: `a body in ${encoding}`, ...put, status: 415, code: 'content-encoding-unsupported' },
    headers: { ...json, 'content-encoding': encoding },
    body: '{"quantity":1}',
  })),
  {
    name: 'plain text',
    method: 'PUT',
    url: put.url,
    headers: { 'content-type': 'text/plain' },
    body: '{}',
    status: 415,
    code: 'unsupported-media-type',
  },
  {
    name: 'a content type that is none',
    method: 'PUT',
    url: put.url,
    headers: { 'content-type': ';;' },
    body: '{}',
    status: 415,
    code: 'unsupported-media-type',
  },
  {
    name: 'an SKU that cannot be',
    method: 'PUT',
    url: '/api/things/tea',
    headers: json,
    body: '{"quantity":1}',
    ...validation,
    field: { path: 'sku', code: 'pattern' },
  },
  { name: 'an id that is no UUID', url: '/api/things/by-id/1', ...validation, field: { path: 'id', code: 'format' } },
  {
    name: 'an id that is a UUID in another form',
    url: '/api/things/by-id/urn:uuid:0195e3a8-58d4-7cc4-9a6b-0123456789ab',
    ...validation,
    field: { path: 'id', code: 'format' },
  },
  {
    name: 'an id that nothing has',
    url: '/api/things/by-id/0195e3a8-58d4-7cc4-9a6b-0123456789ab',
    status: 404,
    code: 'thing-not-found',
  },
  {
    name: 'a limit that is no number',
    url: '/api/things?limit=ten',
    ...validation,
    field: { path: 'limit', code: 'type' },
  },
  { name: 'an empty limit', url: '/api/things?limit=', ...validation, field: { path: 'limit', code: 'type' } },
  { name: 'a limit of zero', url: '/api/things?limit=0', ...validation, field: { path: 'limit', code: 'minimum' } },
  { name: 'two limits', url: '/api/things?limit=1&limit=2', ...validation, field: { path: 'limit', code: 'type' } },
  {
    name: 'a sort that is not offered',
    url: '/api/things?sort=name',
    ...validation,
    field: { path: 'sort', code: 'enum' },
  },
  {
    name: 'a misspelt parameter',
    url: '/api/things?limti=1',
    ...validation,
    field: { path: 'limti', code: 'unknown-field' },
  },
  {
    name: 'a cursor of garbage',
    url: '/api/things?cursor=%F0%9F%92%A9',
    status: 400,
    code: 'cursor-invalid',
    field: { path: 'cursor', code: 'cursor' },
  },
  {
    name: 'a cursor of another shape',
    url: `/api/things?cursor=${btoa('{"a":1}')}`,
    status: 400,
    code: 'cursor-invalid',
    field: { path: 'cursor', code: 'cursor' },
  },
  {
    name: 'a cursor that is too long',
    url: `/api/things?cursor=${'x'.repeat(501)}`,
    ...validation,
    field: { path: 'cursor', code: 'maxLength' },
  },
  { name: 'a path that is nowhere', url: '/api/nothing', status: 404, code: 'route-not-found' },
  {
    name: 'a body for a path that is nowhere',
    method: 'POST',
    url: '/api/nothing',
    headers: json,
    body: '{}',
    status: 404,
    code: 'route-not-found',
  },
  {
    name: 'a method that the path has not',
    method: 'POST',
    url: '/api/things',
    headers: json,
    body: '{}',
    status: 405,
    code: 'method-not-allowed',
  },
  { name: 'OPTIONS', method: 'OPTIONS', url: '/api/things', status: 405, code: 'method-not-allowed' },
  {
    name: 'a method that no path has',
    method: 'PROPFIND',
    url: '/api/things',
    status: 405,
    code: 'method-not-allowed',
  },
  {
    name: 'broken percent encoding in the path',
    method: 'DELETE',
    url: '/api/things/%zz',
    status: 400,
    code: 'url-malformed',
  },
  { name: 'invalid UTF-8 in the path', method: 'DELETE', url: '/api/things/%ff', status: 400, code: 'url-malformed' },
  { name: 'broken percent encoding nowhere', url: '/%E0%A4%A', status: 400, code: 'url-malformed' },
  {
    name: 'a part of the path that is too long',
    method: 'DELETE',
    url: `/api/things/${'x'.repeat(300)}`,
    status: 414,
    code: 'url-too-long',
  },
  {
    name: 'an identity that is missing',
    ...put,
    headers: { ...json, [identityHeader]: '' },
    body: '{"quantity":1}',
    status: 401,
    code: 'identity-missing',
  },
  {
    name: 'an identity that is noise',
    ...put,
    headers: { ...json, [identityHeader]: 'x.y.z' },
    status: 401,
    code: 'identity-invalid',
  },
  {
    name: 'an identity signed by a stranger',
    url: '/api/admin',
    headers: { [identityHeader]: stranger },
    status: 401,
    code: 'identity-invalid',
  },
  { name: 'a guest where a user is needed', url: '/api/me', status: 401, code: 'sign-in-required' },
  {
    name: 'a customer where an administrator is needed',
    url: '/api/admin',
    headers: { [identityHeader]: customer },
    status: 403,
    code: 'admin-only',
  },
  { name: 'too many', url: '/api/busy', status: 429, code: 'thing-busy' },
]

describe('a bad input is answered with a problem', () => {
  test.each(badInputs)('$name', async ({ method = 'GET', url = '/', headers = {}, body, status, code, field }) => {
    const response = await server.inject({
      method: method as 'GET',
      url,
      headers: { [identityHeader]: guest, ...headers },
      ...(body !== undefined && { payload: body }),
    })
    expect(response.json()).toMatchObject({ status, code, type: 'about:blank', requestId: expect.any(String) })
    expect(response.statusCode).toBe(status)
    expect(response.headers['content-type']).toBe('application/problem+json')
    if (field !== undefined) expect(response.json().errors).toEqual([{ ...field, message: expect.any(String) }])
  })
})

test('the inputs above are refused for what is wrong with them: right ones are served', async () => {
  const headers = { ...json, [identityHeader]: guest }
  const good = [
    { ...put, headers, payload: '{"quantity":1,"note":"a \\\\u0000 that is none"}' },
    { ...put, headers, payload: '{"quantity":1,"note":"\\ud83d\\ude00 😀 \\\\ud800"}' },
    { method: 'DELETE', url: '/api/things/%ED%9F%BF', headers: { [identityHeader]: guest } },
    ...['utf-8', '"UTF-8"', 'us-ascii'].map((charset) => ({
      ...{ ...put, payload: '{"quantity":1}' },
      headers: { ...headers, 'content-type': `application/json; charset=${charset}`, 'content-encoding': 'identity' },
    })),
    { method: 'DELETE', url: '/api/things/%C3%A4', headers: { [identityHeader]: guest } },
    { url: `/api/things?limit=5&sort=-price&sku=TEA-1&cursor=${cursor.encode([1, 'TEA-1'])}`, headers },
    { url: '/api/me', headers: { [identityHeader]: customer } },
  ]
  for (const request of good) {
    const response = await server.inject(request as { url: string })
    expect([request.url, response.statusCode]).toEqual([request.url, 200])
  }
})

test('a wrong method names the right ones', async () => {
  const response = await server.inject({
    method: 'POST',
    url: '/api/things/TEA-1',
    headers: { [identityHeader]: guest },
  })
  expect(response.headers.allow).toBe('DELETE, PATCH, PUT')
})

describe('a failure of ours', () => {
  test.each(['bug', 'text', 'nothing'])('%s is a 500 that says nothing and is logged whole', async (kind) => {
    lines.length = 0
    const response = await server.inject({ url: `/api/fail?with=${kind}`, headers: { [identityHeader]: guest } })
    expect(response.json()).toEqual({
      type: 'about:blank',
      title: 'Internal Server Error',
      status: 500,
      code: 'internal',
      detail: 'An internal error occurred',
      instance: '/api/fail',
      requestId: expect.any(String),
    })
    expect(lines.join()).not.toContain('hunter2')
    expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({ level: 'error', requestId: response.json().requestId })
    if (kind === 'bug')
      expect(JSON.parse(lines[0] ?? '{}').err).toMatchObject({
        type: 'TypeError',
        message: expect.stringContaining('cannot read x'),
      })
  })

  test.each([
    ...[...outageCodes, 'wrapped', 'pgPool', 'breaker'],
    ...['loading', 'replicas', 'disk', 'busy', 'resharding', 'clients'],
  ])('%s is a 503 that says when to come back', async (kind) => {
    const response = await server.inject({ url: `/api/fail?with=${kind}`, headers: { [identityHeader]: guest } })
    expect(response.json()).toMatchObject({ status: 503, code: 'dependency-unavailable' })
    expect(response.headers['retry-after']).toBe('2')
    expect(response.body).not.toContain('secret detail')
  })
})

test('Retry-After is whole seconds, rounded up', () => {
  expect(problemOf(errors.busy()).headers['retry-after']).toBe('2')
})

test('an error keeps its cause and takes options after its arguments', () => {
  const cause = new Error('first')
  const error = errors.thingNotFound('7', { cause, fields: [{ path: '/id', message: 'is gone', code: 'gone' }] })
  expect(error).toBeInstanceOf(ShopError)
  expect(error.message).toBe('There is no thing 7')
  expect(error.cause).toBe(cause)
  expect(problemOf(error).body.errors).toHaveLength(1)
})

test('further members stand beside those of a problem and replace none of them', () => {
  const error = errors.busy({ extensions: { totalCents: 900, code: 'other', status: 200 } })
  expect(problemOf(error).body).toMatchObject({ totalCents: 900, code: 'thing-busy', status: 429 })
})

test('two errors with one code are refused when they are defined', () => {
  expect(() => defineErrors({ a: ['invalid', 'same', 'a'], b: ['conflict', 'same', 'b'] })).toThrow('same')
})

/** The same sequence of numbers below `limit` every time: a failure can be repeated. */
function pseudoRandom(seed: number) {
  let state = seed
  return (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

test('whatever is made of the requests above by chance, the answer is never a 5xx and always one or the other', async () => {
  const random = pseudoRandom(26)
  const one = <Item>(items: readonly Item[]) => items[random(items.length)] as Item
  const bytes = '{}[]":,\\/?%&=#.;@\u0000\u007fÿ€0129eE-+ \n__proto__constructor'
  const damage = (text: string) => {
    const at = random(text.length + 1)
    return one([
      text.slice(0, at),
      text.slice(0, at) + one([...bytes]) + text.slice(at),
      text.slice(0, at) + text.slice(at + 1 + random(3)),
      text + one(['%', '%0', '?', '#', '..', '/', '\\u0000', '1e999', '{"__proto__":{}}']),
    ])
  }
  const codes = new Set<string>()
  for (let round = 0; round < 2_000; round += 1) {
    const { method = 'GET', url = '/', headers = {}, body } = one(badInputs)
    const request = {
      method: one([method, method, 'GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']) as 'GET',
      url: sendable(damage(damage(url.slice(0, 2_000)))),
      headers: {
        [identityHeader]: one([guest, guest, customer, damage(customer)]).replaceAll(/[^!-~]/g, ''),
        ...headers,
      },
      payload: body === undefined || body.length > 10_000 ? damage('{"quantity":1}') : damage(body.toString()),
    }
    const response = await server.inject(request)
    expect(response.statusCode, JSON.stringify(request)).toBeLessThan(500)
    if (response.statusCode < 400 || response.body === '') continue
    expect(response.headers['content-type'], JSON.stringify(request)).toBe('application/problem+json')
    expect(response.json()).toMatchObject({ status: response.statusCode, code: expect.stringMatching(/^[a-z0-9-]+$/) })
    codes.add(response.json().code)
  }
  // Chance comes around: a generator that only ever produces one sort of mistake would prove little.
  expect(codes.size).toBeGreaterThan(9)
})

/** What a client can put on the wire: a path of visible ASCII. */
function sendable(url: string): string {
  return `/${url.replaceAll(/[^!-~]/g, '')}`.replace(/^[\\/]+/, '/')
}

describe('on a real socket', () => {
  let port = 0
  beforeAll(async () => {
    await server.listen({ port: 0, host: '127.0.0.1' })
    port = (server.server.address() as { port: number }).port
  })
  afterAll(() => server.close())

  test.each([
    ['noise', 'this is not HTTP\r\n\r\n', 400, 'request-malformed'],
    ['headers over 16 KiB', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['a URL over 16 KiB', `GET /${'y'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431, 'headers-too-large'],
    [
      'a request smuggled in two lengths',
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
      400,
      'request-malformed',
    ],
    ['a path that is a star', 'OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 404, 'route-not-found'],
    [
      'a path of another host',
      'GET http://other/api/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
      404,
      'route-not-found',
    ],
    ['a path that is none', 'GET nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400, 'request-malformed'],
    [
      'a name that is no path',
      'GET //api//things HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
      404,
      'route-not-found',
    ],
    ['raw bytes in the path', 'GET /api/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'request-malformed'],
  ])('%s', async (_name, text, status, code) => {
    const socket = connect(port, '127.0.0.1')
    socket.write(Buffer.from(text, 'latin1'))
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    await once(socket, 'close')
    expect(answer).toContain(`HTTP/1.1 ${status} `)
    expect(answer).toContain('application/problem+json')
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ status, code })
  })

  test('a body that grows past the limit while it is sent is cut off with 413', async () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(65_536).fill(0x20))
      },
    })
    const response = await fetch(`http://127.0.0.1:${port}/api/things/TEA-1`, {
      method: 'PUT',
      body,
      duplex: 'half',
      headers: { ...json, [identityHeader]: guest },
    } as RequestInit)
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ code: 'body-too-large' })
  })
})
