import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, startGateway } from './gateway.fixture.ts'
import { limitImports, policyFile } from './limits/policies.fixture.ts'
import { routes, services } from './routes.ts'

const gateway = await startGateway()
afterAll(gateway.stop)

/** A file that admits this many requests of an address at once, and then one per second. */
function slow(burst: number, importMaxBytes = '512MiB') {
  const limit = '1 per 1s'
  return policyFile({ address: { limit, burst }, 'sign-in-address': { limit, burst } }, limitImports(importMaxBytes))
}

interface Asked {
  method: string
  url: string
  headers: Record<string, string>
  body: string
}

async function ask(path: string, init: RequestInit = {}, url = gateway.url) {
  const response = await fetch(url + path, { signal: AbortSignal.timeout(10_000), ...init })
  const text = await response.text()
  const body = text === '' ? undefined : JSON.parse(text)
  return { status: response.status, headers: response.headers, body, asked: body as Asked }
}

async function signedIn() {
  const userId = randomUUID()
  const session = await gateway.sessions.create({ userId, fields: { role: 'customer' } })
  return { userId, session, cookie: `shop_session=${session.id}` }
}

describe('the gateway passes on', () => {
  it('method, path with query, body and answer as they are', async () => {
    const body = '{"quantity": 2}  '
    const headers = { 'content-type': 'application/json', accept: 'application/json' }
    const { asked, headers: answered } = await ask('/api/cart/items/TEA-1?x=%20y', { method: 'PUT', body, headers })
    expect(asked).toMatchObject({ method: 'PUT', url: '/api/cart/items/TEA-1?x=%20y', body })
    expect(asked.headers).toMatchObject(headers)
    expect(answered.getSetCookie()).toEqual(['a=1', 'b=2'])
  })

  it('the identity of the session, and not the session', async () => {
    const { userId, session, cookie } = await signedIn()
    const { asked } = await ask('/api/cart', { headers: { cookie: `${cookie}; shop_cart=abc; other=1` } })
    expect(asked.headers.cookie).toBe('shop_cart=abc')
    expect(JSON.stringify(asked)).not.toContain(session.id)
    expect(gateway.verify(asked.headers['x-shop-identity'])).toEqual({
      role: 'customer',
      userId,
      session: session.handle,
    })
  })

  it('nothing that a client claims about itself', async () => {
    const forged = {
      'x-shop-identity': 'x.y.z',
      'x-forwarded-for': '1.2.3.4',
      'x-request-id': 'chosen-by-client',
      forwarded: 'for=1',
    }
    const { asked } = await ask('/api/products', { headers: forged })
    expect(gateway.verify(asked.headers['x-shop-identity'])).toEqual({ role: 'guest' })
    for (const name of ['x-forwarded-for', 'forwarded']) expect(asked.headers[name]).toBeUndefined()
    expect(asked.headers['x-request-id']).not.toBe('chosen-by-client')
  })

  it('nothing to a session: it ends when the user service meant it to', async () => {
    const { userId, cookie } = await signedIn()
    const expiresAtMs = async () => (await gateway.sessions.list(userId))[0]?.expiresAtMs ?? 0
    const before = await expiresAtMs()
    expect((await ask('/api/orders', { headers: { cookie } })).status).toBe(200)
    expect((await expiresAtMs()) - before).toBeLessThan(30_000)
  })

  it('nobody as a guest once the session has ended', async () => {
    const { session, cookie } = await signedIn()
    await gateway.sessions.destroy(session.id)
    const { asked } = await ask('/api/orders', { headers: { cookie } })
    expect(gateway.verify(asked.headers['x-shop-identity'])).toEqual({ role: 'guest' })
  })
})

describe('HEAD', () => {
  const stored = { 'content-type': 'application/json', etag: '"1"', 'x-cache': 'hit', 'cache-control': 'no-cache' }
  const wanted = [...Object.keys(stored), 'content-length']
  const ask = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(withStored.url + path, { method, headers })
    const byName = Object.fromEntries(wanted.map((name) => [name, response.headers.get(name)]))
    return { status: response.status, headers: byName, body: await response.text() }
  }
  const answer: Answer = (request, response) => {
    if (request.headers['if-none-match'] === '"1"') return response.writeHead(304, { etag: '"1"' }).end()
    const body = JSON.stringify({ path: request.url })
    response.writeHead(200, { ...stored, 'content-length': body.length }).end(body)
  }
  let withStored: Awaited<ReturnType<typeof startGateway>>
  beforeAll(async () => {
    withStored = await startGateway({}, Object.fromEntries(services.map((name) => [name, answer])))
  })
  afterAll(() => withStored.stop())

  it.each(routes.filter(({ methods }) => methods.includes('GET')).map(({ path }) => path))(
    'of %s has the headers of GET and no body',
    async (pattern) => {
      const path = pattern.replaceAll(/:\w+/g, 'x')
      const get = await ask('GET', path)
      expect(get.body).not.toBe('')
      expect(await ask('HEAD', path)).toEqual({
        ...get,
        headers: { ...get.headers, 'content-length': `${get.body.length}` },
        body: '',
      })
    },
  )

  it('is 304 when GET is', async () => {
    expect(await ask('HEAD', '/api/products/x', { 'if-none-match': '"1"' })).toMatchObject({ status: 304 })
  })
})

describe('a body of 16 MiB', () => {
  const body = Buffer.alloc(16_777_216, ' ')
  const send = (url: string, path: string, headers: Record<string, string> = {}) =>
    Promise.all(
      Array.from({ length: 5 }, async () => {
        const response = await fetch(url + path, { method: 'POST', body, headers })
        return `${response.status} ${((await response.json()) as { code?: string }).code}`
      }),
    )

  // The limits of signing in fail closed: while their scripts are loaded, a busy machine may take longer than a decision may.
  beforeAll(() => ask('/api/sessions', { method: 'POST', body: '{}' }))

  it.each([
    ['/api/sessions', {}, '413 body-too-large'],
    ['/api/products/import', { origin: 'https://evil.example' }, '403 origin-not-allowed'],
    ['/api/nowhere', {}, '404 route-not-found'],
  ])('to %s with %j is refused with %s, and the client reads why', async (path, headers, answer) => {
    expect(await send(gateway.url, path, headers)).toEqual(Array.from({ length: 5 }, () => answer))
  })

  it('over the limit of requests, or of an upload, is refused likewise', async () => {
    const strict = await startGateway({ RATE_LIMIT_FILE: slow(5, '1000B') })
    const uploads = await send(strict.url, '/api/products/import', { 'content-type': 'text/csv' })
    const refused = [...(await send(strict.url, '/api/sessions')), ...(await send(strict.url, '/api/sessions'))]
    await strict.stop()
    expect([...new Set(uploads)]).toEqual(['413 body-too-large'])
    expect([...new Set(refused)]).toContain('429 too-many-requests')
  })
})

describe('a cookie', () => {
  it.each(['', 'abc', '%00', '%0d%0ax-shop-identity:%20admin', '%41', '%', '%zz', '"quoted"', '__proto__', 'a=b'])(
    'with the value %j is passed on as it came',
    async (value) => {
      const { asked } = await ask('/api/cart', { headers: { cookie: `a=1; shop_cart=${value}; b=2` } })
      expect(asked.headers.cookie).toBe(`shop_cart=${value}`)
    },
  )

  it.each(['a b', 'a"b', 'a\\b', 'a,b', 'caf\u00e9', '\u0080'])(
    'with the value %j, which no cookie has, is dropped',
    async (value) => {
      const { status, asked } = await ask('/api/cart', { headers: { cookie: `shop_cart=${value}` } })
      expect(status).toBe(200)
      expect(asked.headers.cookie).toBeUndefined()
    },
  )

  it.each([
    ['POST', '/api/sessions', 'shop_session=id'],
    ['POST', '/api/users', undefined],
    ['GET', '/api/users/me', undefined],
    ['GET', '/api/cart', 'shop_cart=id'],
    ['DELETE', '/api/cart/items/TEA-1', 'shop_cart=id'],
    ['GET', '/api/orders', undefined],
    ['POST', '/api/orders', 'shop_cart=id'],
    ['GET', '/api/orders/1', undefined],
    ['GET', '/api/products', undefined],
  ])('reaches a service only on the routes that name it: %s %s passes %s', async (method, path, passed) => {
    const { asked } = await ask(path, { method, headers: { cookie: 'shop_cart=id; shop_session=id; other=id' } })
    expect(asked.headers.cookie).toBe(passed)
  })

  it('opens no session when its value is another spelling of an id', async () => {
    const { session } = await signedIn()
    const escaped = `%${session.id.charCodeAt(0).toString(16)}${session.id.slice(1)}`
    const { asked } = await ask('/api/cart', { headers: { cookie: `shop_session=${escaped}` } })
    expect(gateway.verify(asked.headers['x-shop-identity'])).toEqual({ role: 'guest' })
  })
})

describe('a header of the client', () => {
  it.each([
    'user-agent',
    'idempotency-key',
    'traceparent',
    'tracestate',
    'if-none-match',
    'last-event-id',
    'accept-language',
  ])('%s is passed on byte for byte', async (name) => {
    const value = '%00%0d%0a\t\u00e9\u00ff"\\{}'
    const { status, asked } = await ask('/api/orders', { headers: { [name]: value } })
    expect(status).toBe(200)
    expect(asked.headers[name]).toBe(value)
  })

  it('does not make a line break in the path one of the request', async () => {
    const path = '/api/cart/items/a%0d%0ax-shop-identity:%20admin?q=%0d%0a'
    const { asked } = await ask(path, { method: 'DELETE' })
    expect(asked.url).toBe(path)
  })

  it('may name the whole URL, of which the service sees the path', async () => {
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    socket.write(
      'GET http://elsewhere.example/api/cart?a=1 HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n',
    )
    expect(await text(socket)).toContain('"url":"/api/cart?a=1"')
  })
})

describe('behind a proxy', () => {
  const limits = { RATE_LIMIT_FILE: slow(3) }
  const statusesOf = async (url: string, addresses: string[]) => {
    const statuses = []
    for (const address of addresses) {
      statuses.push((await ask('/api/cart', { headers: { 'x-forwarded-for': address } }, url)).status)
    }
    return statuses
  }

  it.each([['loopback'], ['1']])('that is trusted (%s) each client has a limit of its own', async (TRUST_PROXY) => {
    const behind = await startGateway({ ...limits, TRUST_PROXY })
    const [ada, ben] = ['203.0.113.1', '2001:db8::1']
    expect(await statusesOf(behind.url, [ada, ada, ada, ada])).toEqual([200, 200, 200, 429])
    expect(await statusesOf(behind.url, [ben, ben])).toEqual([200, 200])
    // What a client itself wrote stands in front of what the proxy adds. Another port is the same client.
    expect(await statusesOf(behind.url, [`198.51.100.9, ${ada}`, `unknown, ${ada}:1234`])).toEqual([429, 429])
    await behind.stop()
  })

  it.each([[''], ['203.0.113.0/24']])('that is not trusted (%j) what it says changes nothing', async (TRUST_PROXY) => {
    const open = await startGateway({ ...limits, TRUST_PROXY })
    const addresses = ['203.0.113.1', '203.0.113.2', '203.0.113.3', '203.0.113.4']
    expect(await statusesOf(open.url, addresses)).toEqual([200, 200, 200, 429])
    await open.stop()
  })

  it('the scheme and the cookies are those of https only when a trusted proxy says so', async () => {
    const behind = await startGateway({ TRUST_PROXY: 'loopback' })
    const headers = { 'x-forwarded-proto': 'https', cookie: 'shop_cart=http; __Host-shop_cart=https' }
    const trusted = (await ask('/api/cart', { headers }, behind.url)).asked.headers
    await behind.stop()
    const untrusted = (await ask('/api/cart', { headers })).asked.headers
    expect([trusted['x-forwarded-proto'], trusted.cookie]).toEqual(['https', '__Host-shop_cart=https'])
    expect([untrusted['x-forwarded-proto'], untrusted.cookie]).toEqual(['http', 'shop_cart=http'])
  })
})

describe('the gateway refuses', () => {
  it('changes from pages of other sites, and lets its own and programs pass', async () => {
    const post = (headers: Record<string, string>) => ask('/api/sessions', { method: 'POST', body: '{}', headers })
    expect((await post({ origin: 'https://evil.example' })).status).toBe(403)
    expect((await post({ origin: 'null' })).status).toBe(403)
    expect((await post({ 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await post({ origin: gateway.url })).status).toBe(200)
    const underAnotherName = gateway.url.replace('127.0.0.1', 'localhost')
    const headers = { origin: underAnotherName }
    expect((await ask('/api/sessions', { method: 'POST', body: '{}', headers }, underAnotherName)).status).toBe(200)
    expect((await post({})).status).toBe(200)
  })

  it('changes by the host of the target, which counts before Host', async () => {
    const post = async (host: string, origin: string) => {
      const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
      const head = `POST http://shop.example/api/sessions HTTP/1.1\r\nhost: ${host}\r\norigin: ${origin}\r\n`
      socket.write(`${head}connection: close\r\ncontent-length: 0\r\n\r\n`)
      return (await text(socket)).slice(9, 12)
    }
    expect(await post('inner', 'http://shop.example')).toBe('200')
    expect(await post('evil.example', 'http://evil.example')).toBe('403')
  })

  it('a body with Content-Encoding, which no service would see', async () => {
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
    const answer = await ask('/api/cart/items/TEA-1', { method: 'PUT', body: '{}', headers })
    expect(answer).toMatchObject({ status: 415, body: { code: 'content-encoding-unsupported' } })
    expect(answer.headers.get('accept-encoding')).toBe('identity')
  })

  it('what services only ask each other, and what is nowhere', async () => {
    for (const path of ['/api/products/quote?sku=A-1', '/metrics', '/api/none']) {
      expect((await ask(path)).body).toMatchObject({ status: 404, code: 'route-not-found' })
    }
  })

  it('more requests than the limit, with the time to wait, and says on each answer what is left', async () => {
    const strict = await startGateway({ RATE_LIMIT_FILE: slow(5) })
    const answers = []
    for (let i = 0; i < 8; i++) answers.push(await ask('/api/products', {}, strict.url))
    const refused = answers.find(({ status }) => status === 429)
    await strict.stop()
    expect(answers.slice(0, 5).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    const ofRoute = {
      state: '"route";r=5000;t=1, "route-burst";r=9999;t=1',
      policy: '"route";q=5000;w=1, "route-burst";q=10000;w=2',
    }
    expect(answers[0]?.headers.get('ratelimit')).toBe(`"address";r=1;t=1, "address-burst";r=4;t=1, ${ofRoute.state}`)
    expect(answers[0]?.headers.get('ratelimit-policy')).toBe(
      `"address";q=1;w=1, "address-burst";q=5;w=5, ${ofRoute.policy}`,
    )
    expect(refused?.body.code).toBe('too-many-requests')
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  })
})

describe('when an instance dies', () => {
  it('reads and requests with a key are answered by the other one, and a plain POST is not sent twice', async () => {
    let received = 0
    const dying = await startGateway()
    await dying.addInstance(
      'order',
      (request) => {
        received++
        request.socket.destroy()
      },
      'order-dying',
    )
    const place = (headers: Record<string, string>) =>
      ask('/api/orders', { method: 'POST', body: '{}', headers }, dying.url).then(({ status }) => status)
    const withKey = await Promise.all(Array.from({ length: 30 }, () => place({ 'idempotency-key': randomUUID() })))
    expect(withKey).toEqual(Array.from({ length: 30 }, () => 200))
    const before = received
    const withoutKey = await Promise.all(Array.from({ length: 30 }, () => place({})))
    expect(withoutKey.filter((status) => status !== 200)).toHaveLength(received - before)
    await dying.stop()
  })
})

describe('with Redis servers that refuse', () => {
  it('writes, public pages answer, and private ones know who asks', async () => {
    const refusing = await startGateway()
    const userId = randomUUID()
    const { id } = await refusing.sessions.create({ userId, fields: { role: 'customer' } })
    const headers = { cookie: `shop_session=${id}` }
    for (const { url } of [refusing.state, refusing.cache]) {
      const redis = connectRedis(url, { name: 'test' })
      await whenReady(redis, 5_000)
      await redis.config('SET', 'min-replicas-to-write', '1')
      await closeRedis(redis)
    }
    for (let round = 0; round < 10; round++) {
      expect((await ask('/api/products', { headers }, refusing.url)).status).toBe(200)
      const { asked } = await ask('/api/orders', { headers }, refusing.url)
      expect(refusing.verify(asked.headers['x-shop-identity'])).toMatchObject({ userId })
    }
    await refusing.stop()
  })

  it('the gateway itself, for rights that were taken away, public pages answer a customer as a guest', async () => {
    const refusing = await startGateway()
    const { id } = await refusing.sessions.create({ userId: randomUUID(), fields: { role: 'customer' } })
    const redis = connectRedis(refusing.state.url, { name: 'test' })
    await whenReady(redis, 5_000)
    await redis.acl('SETUSER', 'gateway', 'resetkeys')
    await closeRedis(redis)
    const { status, asked } = await ask('/api/products', { headers: { cookie: `shop_session=${id}` } }, refusing.url)
    expect([status, refusing.verify(asked.headers['x-shop-identity'])]).toEqual([200, { role: 'guest' }])
    await refusing.stop()
  })
})

describe('without Redis', () => {
  it('public pages answer, private ones say 503 and leave the cookie alone, and it is over when Redis is back', async () => {
    const alone = await startGateway()
    const { id } = await alone.sessions.create({ userId: randomUUID(), fields: { role: 'customer' } })
    const headers = { cookie: `shop_session=${id}` }
    const statuses = async () => {
      const answers = await Promise.all(
        ['/api/products', '/api/orders'].map((path) => ask(path, { headers }, alone.url)),
      )
      return answers.map(({ status }) => status)
    }
    expect(await statuses()).toEqual([200, 200])
    await alone.state.kill('SIGKILL')
    expect(await statuses()).toEqual([200, 503])
    const refused = await ask('/api/orders', { headers }, alone.url)
    expect(refused.body.code).toBe('sessions-unavailable')
    expect(refused.headers.get('set-cookie')).toBeNull()
    await alone.cache.kill('SIGKILL')
    expect((await ask('/api/products', {}, alone.url)).status).toBe(200)
    await alone.stop()
  })
})
