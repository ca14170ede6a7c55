import type { Identity } from '@shop/contracts/identity'
import { closeRedis, connectRedis } from '@shop/redis-kit/connection'
import { newApiKeyId, newApiKeyToken } from '@shop/service-kit/identity/api-key-token'
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { bearerToken } from './api-key.ts'
import { startGateway, startGatewayProcess } from './gateway.fixture.ts'
import { keys } from './keys.ts'
import { policyFile } from './limits/policies.fixture.ts'

vi.setConfig({ testTimeout: 30_000 })

const gateway = await startGateway()
const redis = connectRedis(gateway.state.url, { name: 'test' })
afterAll(async () => {
  await closeRedis(redis)
  await gateway.stop()
})
const mark = keys.apiKeys.projection.key()
await redis.hset(mark, 'complete', '1')

/** As the user service writes it. */
async function liveKey(scopes = 'products:read', server = redis, quota = { perMinute: 600, perDay: 10_000 }) {
  const { id, token, digest } = newApiKeyToken(newApiKeyId())
  const name = keys.apiKeys.key.key(id)
  await server.hset(name, { version: 1, digest, scopes, ...quota })
  return { id, token, name }
}

interface Asked {
  status: number
  code?: string
  headers: Headers
  /** What the service got. */
  got: Record<string, string>
  /** Without the id of the request. */
  problem: object
}

async function ask(path: string, headers: Record<string, string> = {}, url = gateway.url): Promise<Asked> {
  const response = await fetch(url + path, { headers })
  const { requestId: _, ...body } = (await response.json()) as {
    requestId: string
    code: string
    headers: Asked['got']
  }
  return { status: response.status, code: body.code, headers: response.headers, got: body.headers, problem: body }
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const identityIn = ({ got }: Asked): Identity => gateway.verify(got['x-shop-identity'])

describe('a partner with a key', () => {
  test('reaches a route of its scope as a guest; the service sees neither the key nor a cookie', async () => {
    const { token } = await liveKey()
    const answer = await ask('/api/products', { ...bearer(token), cookie: 'shop_cart=x' })
    expect([answer.status, identityIn(answer)]).toEqual([200, { role: 'guest' }])
    expect(JSON.stringify(answer.got)).not.toContain(token.slice(14))
    expect(answer.got).not.toHaveProperty('authorization')
    expect(answer.got).not.toHaveProperty('cookie')
  })

  test.each([
    ['/api/categories', 'a route of another scope', 'scope="categories:read"'],
    ['/api/cart', 'a route without a scope', 'error="insufficient_scope"'],
    ['/api/users/me', 'an account', 'error="insufficient_scope"'],
    ['/api/api-keys', 'the keys themselves', 'error="insufficient_scope"'],
    ['/api/console/streams', 'the console', 'error="insufficient_scope"'],
  ])('is refused %s, %s', async (path, _name, challenge) => {
    const answer = await ask(path, bearer((await liveKey()).token))
    expect([answer.status, answer.code]).toEqual([403, 'scope-missing'])
    expect(answer.headers.get('www-authenticate')).toContain(challenge)
  })

  test('has each of its scopes', async () => {
    const { token } = await liveKey('products:read categories:read')
    const answers = await Promise.all(
      ['/api/products/TEA-1', '/api/categories'].map((path) => ask(path, bearer(token))),
    )
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
  })

  test('is not the user of the cookie beside it, who is not looked at', async () => {
    const userId = '0195e3a8-58d4-7cc4-9a6b-0123456789ab'
    const { id } = await gateway.sessions.create({ userId, fields: { role: 'admin' } })
    const cookie = { cookie: `shop_session=${id}` }
    expect(identityIn(await ask('/api/users/me', cookie))).toMatchObject({ role: 'admin', userId })
    const both = { ...cookie, ...bearer((await liveKey()).token) }
    expect(identityIn(await ask('/api/products', both))).toEqual({ role: 'guest' })
    expect((await ask('/api/users/me', both)).code).toBe('scope-missing')
    expect((await ask('/api/products', { ...cookie, ...bearer('noise') })).code).toBe('api-key-invalid')
  })
})

test.each([
  { perMinute: 'many', perDay: '5' },
  { perMinute: '0', perDay: '5' },
  { perMinute: '5', perDay: '1e300' },
  { perMinute: '5' },
])('a key with the damaged quota %j cannot be checked now', async (quota) => {
  const { token, name } = await liveKey()
  await redis.hdel(name, 'perMinute', 'perDay')
  await redis.hset(name, quota)
  const { status, code, headers } = await ask('/api/products', bearer(token))
  expect([status, code, headers.get('retry-after')]).toEqual([503, 'api-keys-unavailable', '1'])
})

describe('text that is not a key', () => {
  test('is refused in the same words, whatever is wrong with it', async () => {
    const { token, id, name } = await liveKey()
    const revoked = await liveKey()
    await redis.del(revoked.name)
    await redis.hset(revoked.name, 'version', 2)
    const bad = {
      unknown: newApiKeyToken(newApiKeyId()).token,
      rotated: newApiKeyToken(id).token,
      revoked: revoked.token,
      malformed: 'noise',
      cut: token.slice(0, -1),
      empty: '',
      'very long': 'x'.repeat(5_000),
    }
    const answers = await Promise.all(Object.values(bad).map((text) => ask('/api/products', bearer(text))))
    for (const { status, headers, problem } of answers) {
      expect([status, problem]).toEqual([401, answers[0]?.problem])
      expect(headers.get('www-authenticate')).toBe('Bearer realm="redis-shop", error="invalid_token"')
      expect(headers.get('cache-control')).toBe('no-store')
    }
    expect(await redis.hget(name, 'perMinute')).toBe('600')
  })

  test('is refused with the next request after it has ended', async () => {
    const { token, name } = await liveKey()
    expect((await ask('/api/products', bearer(token))).status).toBe(200)
    await redis.hdel(name, 'digest')
    expect((await ask('/api/products', bearer(token))).status).toBe(401)
  })

  test('is refused before the service is asked', async () => {
    let askedCount = 0
    const own = await startGateway(
      {},
      {
        catalog: (_request, response) => {
          askedCount += 1
          response.end('{}')
        },
      },
    )
    onTestFinished(own.stop)
    expect((await ask('/api/products', bearer('noise'), own.url)).status).toBe(401)
    expect(askedCount).toBe(0)
  })
})

test.each([
  ['Bearer abc', 'abc'],
  ['bearer  abc', 'abc'],
  [' BEARER abc ', 'abc'],
  ['Bearer', ''],
  ['Bearer a b', 'a b'],
  ['Basic dTpw', undefined],
  ['Bearers abc', undefined],
  ['', undefined],
  [undefined, undefined],
])('%j carries the token %j', (header, token) => {
  expect(bearerToken(header)).toBe(token)
})

test('another scheme says nothing to the shop: the caller is a guest', async () => {
  const answer = await ask('/api/products', { authorization: 'Basic dTpw' })
  expect([answer.status, identityIn(answer)]).toEqual([200, { role: 'guest' }])
  expect(answer.got).not.toHaveProperty('authorization')
})

describe('while Redis', () => {
  test('is unavailable, keys are answered with 503 on public routes too, and guests are served', async () => {
    const own = await startGateway()
    onTestFinished(own.stop)
    const look = connectRedis(own.state.url, { name: 'test' })
    const { token } = await liveKey('products:read', look)
    expect((await ask('/api/products', bearer(token), own.url)).status).toBe(200)
    await closeRedis(look)
    await own.state.kill('SIGKILL')
    const refused = await ask('/api/products', bearer(token), own.url)
    expect([refused.status, refused.code, refused.headers.get('retry-after')]).toEqual([
      503,
      'api-keys-unavailable',
      '1',
    ])
    expect((await ask('/api/products', {}, own.url)).status).toBe(200)
    expect((await ask('/api/products', bearer('noise'), own.url)).status).toBe(401)
  })

  test('has lost its keys, an unknown key is answered with 503, and a known one is accepted', async () => {
    const { token, name } = await liveKey()
    await redis.hdel(mark, 'complete')
    onTestFinished(async () => void (await redis.hset(mark, 'complete', '1')))
    expect((await ask('/api/products', bearer(token))).status).toBe(200)
    expect((await ask('/api/products', bearer(newApiKeyToken(newApiKeyId()).token))).code).toBe('api-keys-unavailable')
    await redis.del(name)
    expect((await ask('/api/products', bearer(token))).code).toBe('api-keys-unavailable')
  })

  test('holds another type at the key, the key is answered with 503', async () => {
    const { token, name } = await liveKey()
    await redis.set(name, 'damaged')
    expect((await ask('/api/products', bearer(token))).code).toBe('api-keys-unavailable')
  })
})

describe('the quota', () => {
  test.each([
    ['per minute', { perMinute: 3, perDay: 100 }, 'api-key-minute'],
    ['per day', { perMinute: 100, perDay: 3 }, 'api-key-day'],
  ])('%s is that of the key, announced in its headers, and of no other key', async (_name, quota, policy) => {
    const other = await liveKey('products:read', redis, quota)
    const answers = await inOneMinute(async () => {
      const { token } = await liveKey('products:read', redis, quota)
      const all: Asked[] = []
      for (let count = 0; count < 4; count += 1) all.push(await ask('/api/products', bearer(token)))
      return all
    })
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429])
    const announced = answers[0]?.headers.get('ratelimit-policy')
    expect(announced).toContain(`"api-key-minute";q=${quota.perMinute};w=60`)
    expect(announced).toContain(`"api-key-day";q=${quota.perDay};w=86400`)
    expect(answers.map(({ headers }) => left(headers, policy))).toEqual([2, 1, 0, 0])
    expect(Number(answers[3]?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await ask('/api/products', bearer(other.token))).status).toBe(200)
    expect((await ask('/api/products')).headers.get('ratelimit-policy')).not.toContain('api-key')
  })

  test('does not pay for requests that the key may not send', async () => {
    const { token } = await liveKey('products:read', redis, { perMinute: 2, perDay: 2 })
    for (let count = 0; count < 5; count += 1) expect((await ask('/api/cart', bearer(token))).status).toBe(403)
    expect((await ask('/api/products', bearer(token))).status).toBe(200)
  })
})

test('guesses are charged to their address: a flood of them is denied, and none is looked up any more', async () => {
  const own = await startGateway({ RATE_LIMIT_FILE: policyFile({ address: { limit: '1 per 1m', burst: 5 } }) })
  onTestFinished(own.stop)
  const statuses: number[] = []
  const guess = async () => (await ask('/api/products', bearer(newApiKeyToken(newApiKeyId()).token), own.url)).status
  for (let count = 0; count < 12; count += 1) statuses.push(await guess())
  // Nothing has written the mark of completeness here, so an unknown key is 503.
  expect(statuses).toEqual([...Array.from({ length: 5 }, () => 503), ...Array.from({ length: 7 }, () => 429)])
})

/** Windows begin with the minute: what one has cut in two is done again. */
async function inOneMinute<Result>(work: () => Promise<Result>): Promise<Result> {
  const minute = () => Math.floor(Date.now() / 60_000)
  const startedIn = minute()
  const result = await work()
  return minute() === startedIn ? result : inOneMinute(work)
}

/** What is left of a policy. */
function left(headers: Headers, policy: string): number {
  return Number(new RegExp(`"${policy}";r=(\\d+)`).exec(headers.get('ratelimit') ?? '')?.[1])
}

test('the log of a process has no token, whatever becomes of it', async () => {
  const own = await startGatewayProcess({ LOG_LEVEL: 'debug' })
  const look = connectRedis(own.state.url, { name: 'test' })
  const [good, bad] = [await liveKey('products:read', look), newApiKeyToken(newApiKeyId())]
  const headers = [bearer(good.token), bearer(bad.token), bearer(`${good.token}x`)]
  for (const one of headers) await ask('/api/products', one, own.url)
  await own.state.kill('SIGKILL')
  for (const one of headers) await ask('/api/products', one, own.url)
  await closeRedis(look)
  await own.stopProcess()
  const output = own.log()
  await own.stop()
  expect(output).toContain('request completed')
  for (const token of [good.token, bad.token]) expect(output).not.toContain(token.slice(14, 40))
})
