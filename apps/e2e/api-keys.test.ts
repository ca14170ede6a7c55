/** A partner's key, from its issue to its revocation, through the gateway. */
import { randomUUID } from 'node:crypto'
import type { ApiKey, ApiKeyPage, IssuedApiKey, NewApiKey } from '@shop/contracts/api-key'
import type { Problem } from '@shop/contracts/problem'
import type { Answer } from '@shop/test-kit/browser'
import { beforeAll, describe, expect, it } from 'vitest'
import { createCustomer, createShopper, type Shopper, signIn } from './shopper.ts'
import { accounts, ownStack } from './stack.ts'

const partner = createShopper()
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const newKey: NewApiKey = {
  name: `Partner ${randomUUID()}`,
  scopes: ['products:read'],
  quota: { perMinute: 1_000, perDay: 100_000 },
}
const codeOf = async (path: string, token: string) => {
  const { status, body } = await partner.get<Problem | undefined>(path, bearer(token))
  return status === 200 ? 200 : `${status} ${body?.code}`
}

describe.skipIf(!ownStack)('with an administrator', () => {
  let admin: Shopper
  beforeAll(async () => {
    admin = await signIn(accounts.find(({ role }) => role === 'admin') as (typeof accounts)[0])
  })
  const issue = async (more: Partial<NewApiKey> = {}) => {
    const issued = await admin.post<IssuedApiKey>('/api/api-keys', { ...newKey, ...more })
    expect([issued.status, issued.headers.get('cache-control')]).toEqual([201, 'no-store'])
    return issued.body
  }

  it('issues a key that reads products, and nothing else', async () => {
    const { token } = await issue()
    expect(await codeOf('/api/products?limit=1', token)).toBe(200)
    for (const path of ['/api/categories', '/api/cart', '/api/orders', '/api/users/me', '/api/api-keys'])
      expect([path, await codeOf(path, token)]).toEqual([path, '403 scope-missing'])
    const order = await partner.post<Problem>('/api/orders', { payment: { card: 'approve' } }, bearer(token))
    expect([order.status, order.body.code]).toEqual([403, 'scope-missing'])
  })

  it('lists it without its token, over pages', async () => {
    const { apiKey, token } = await issue()
    const listed: ApiKey[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { text: string; body: ApiKeyPage } = await admin.get(
        `/api/api-keys?limit=1${cursor && `&cursor=${cursor}`}`,
      )
      expect(page.text).not.toContain(token)
      listed.push(...page.body.items)
      cursor = page.body.nextCursor
    }
    expect(listed.filter(({ id }) => id === apiKey.id)).toEqual([apiKey])
  })

  it('rotates it: the old token is refused with the answer, and the new one is accepted', async () => {
    const { apiKey, token } = await issue()
    const rotated = await admin.post<IssuedApiKey>(`/api/api-keys/${apiKey.id}/rotate`, undefined)
    expect(rotated.status).toBe(200)
    expect(await codeOf('/api/products?limit=1', token)).toBe('401 api-key-invalid')
    expect(await codeOf('/api/products?limit=1', rotated.body.token)).toBe(200)
  })

  it('revokes it: the token is refused with the answer', async () => {
    const { apiKey, token } = await issue()
    expect((await admin.delete(`/api/api-keys/${apiKey.id}`)).status).toBe(204)
    expect(await codeOf('/api/products?limit=1', token)).toBe('401 api-key-invalid')
    const again = await admin.post<Problem>(`/api/api-keys/${apiKey.id}/rotate`, undefined)
    expect([again.status, again.body.code]).toEqual([409, 'api-key-ended'])
  })

  it('gives it a quota of its own: over it the partner waits, and another partner does not', async () => {
    const quota = { perMinute: 2, perDay: 100 }
    const other = await issue({ quota })
    const answers = await inOneMinute(async () => {
      const { token } = await issue({ quota })
      const all: Answer<unknown>[] = []
      for (let count = 0; count < 3; count += 1) all.push(await partner.get('/api/products?limit=1', bearer(token)))
      return all
    })
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
    for (const [index, { headers }] of answers.entries()) {
      expect(headers.get('ratelimit')).toContain(`"api-key-minute";r=${[1, 0, 0][index]}`)
      expect(headers.get('ratelimit-policy')).toContain('"api-key-minute";q=2;w=60')
      expect(headers.get('ratelimit-policy')).toContain('"api-key-day";q=100;w=86400')
    }
    expect(Number(answers[2]?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await codeOf('/api/products?limit=1', other.token)).toBe(200)
  })

  it('is asked from the shop itself: a page of another origin gets no key', async () => {
    const origin = { origin: 'https://evil.example' }
    const { status, body } = await admin.post<Problem>('/api/api-keys', newKey, origin)
    expect([status, body.code]).toEqual([403, 'origin-not-allowed'])
  })
})

/** Windows begin with the minute: what one has cut in two is done again. */
async function inOneMinute<Result>(work: () => Promise<Result>): Promise<Result> {
  const minute = () => Math.floor(Date.now() / 60_000)
  const startedIn = minute()
  const result = await work()
  return minute() === startedIn ? result : inOneMinute(work)
}

it('refuses keys to all other callers', async () => {
  const { shopper } = await createCustomer()
  const asCustomer = await shopper.post<Problem>('/api/api-keys', newKey)
  const asGuest = await partner.post<Problem>('/api/api-keys', newKey)
  expect([asCustomer.status, asCustomer.body.code]).toEqual([403, 'admin-only'])
  expect([asGuest.status, asGuest.body.code]).toEqual([401, 'sign-in-required'])
})

it('refuses a made-up key in the words for a revoked one, with a challenge', async () => {
  for (const token of ['noise', `shop_k7Tq3ZpA_${'0'.repeat(49)}`]) {
    const { status, body, headers } = await partner.get<Problem>('/api/products', bearer(token))
    expect([status, body.code]).toEqual([401, 'api-key-invalid'])
    expect(headers.get('www-authenticate')).toMatch(/^Bearer /)
  }
})
