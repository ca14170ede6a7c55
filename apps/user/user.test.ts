import { randomUUID } from 'node:crypto'
import type { Identity } from '@shop/contracts/identity'
import { closeRedis, connectRedis, whenReady } from '@shop/redis-kit/connection'
import { afterAll, describe, expect, it } from 'vitest'
import { keyFamilies } from './keys.ts'
import { startUser } from './user.fixture.ts'

const user = await startUser({ SIGN_IN_LIMIT_COUNT: '3' })
afterAll(user.stop)

const password = 'correct horse battery'
const newEmail = () => `${randomUUID()}@example.com`

async function register(email = newEmail()) {
  const response = await user.ask('/api/users', { method: 'POST', body: { email, name: 'Ada', password } })
  return { email, response, id: response.json().id as string }
}
const signIn = (email: string, pass = password, cookie?: string) =>
  user.ask('/api/sessions', { method: 'POST', body: { email, password: pass }, headers: cookie ? { cookie } : {} })
const cookieOf = (response: { headers: Record<string, unknown> }) =>
  String(response.headers['set-cookie']).split(';')[0] as string

describe('registering', () => {
  it('makes a customer, whatever is asked for, and never shows the hash', async () => {
    const { response } = await register()
    expect(response.statusCode).toBe(201)
    expect(response.json()).toMatchObject({ role: 'customer', name: 'Ada' })
    expect(response.body).not.toContain('argon2')
  })

  it('gives one address to one of twenty who come at once, however it is written', async () => {
    const email = newEmail()
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        register(i % 2 ? email : email.toUpperCase()).then(({ response }) => response.statusCode),
      ),
    )
    expect(all.filter((status) => status === 201)).toHaveLength(1)
    expect(all.filter((status) => status === 409)).toHaveLength(19)
  })
})

describe('signing in', () => {
  it('sets a cookie that no script can read, and keeps its value out of Redis', async () => {
    const { email } = await register()
    const response = await signIn(email)
    expect(response.statusCode).toBe(201)
    const header = String(response.headers['set-cookie'])
    expect(header).toMatch(/HttpOnly/i)
    expect(header).toMatch(/SameSite=Lax/i)
    const id = cookieOf(response).split('=')[1] as string
    const redis = connectRedis(user.redis.url, { name: 'test' })
    await whenReady(redis, 5_000)
    const names = (await redis.scan(0, 'COUNT', 10_000))[1]
    await closeRedis(redis)
    expect(names.length).toBeGreaterThan(0)
    expect(names.filter((name) => name.includes(id))).toEqual([])
    expect(
      names.filter((name) => !keyFamilies.some((family) => family.matches(name)) && !name.startsWith('registry:')),
    ).toEqual([])
  })

  it('makes the cookie Secure when the gateway was asked over https', async () => {
    const email = newEmail()
    await register(email)
    const headers = { 'x-forwarded-proto': 'https' }
    const response = await user.ask('/api/sessions', { method: 'POST', body: { email, password }, headers })
    expect(String(response.headers['set-cookie'])).toMatch(/^__Host-shop_session=.*Secure/i)
  })

  it('gives a new id each time, and the old one is dead at once', async () => {
    const { email, id } = await register()
    const first = await signIn(email)
    const second = await signIn(email, password, cookieOf(first))
    expect(cookieOf(second)).not.toBe(cookieOf(first))
    const as: Identity = { role: 'customer', userId: id, session: second.json().session.id }
    const { items } = (await user.ask('/api/sessions', { as })).json()
    expect(items).toHaveLength(1)
    expect(items[0]).toMatchObject({ current: true })
  })

  it('slows down who guesses, but not who knows the password', async () => {
    const guessed = await register()
    for (let i = 0; i < 3; i++) expect((await signIn(guessed.email, 'wrong password')).statusCode).toBe(401)
    const refused = await signIn(guessed.email)
    expect(refused.statusCode).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    const known = await register()
    for (let i = 0; i < 6; i++) expect((await signIn(known.email)).statusCode).toBe(201)
  })
})

describe('signing out', () => {
  it('everywhere ends every session', async () => {
    const { email, id } = await register()
    await signIn(email)
    const last = await signIn(email)
    const as: Identity = { role: 'customer', userId: id, session: last.json().session.id }
    expect((await user.ask('/api/sessions', { as, method: 'DELETE' })).statusCode).toBe(204)
    expect((await user.ask('/api/sessions', { as })).json().items).toEqual([])
  })

  it("cannot end somebody else's session", async () => {
    const [ada, ben] = [await register(), await register()]
    const session = (await signIn(ada.email)).json().session.id
    const as: Identity = { role: 'customer', userId: ben.id, session: 'x' }
    expect((await user.ask(`/api/sessions/${session}`, { as, method: 'DELETE' })).statusCode).toBe(404)
  })
})

describe('without Redis', () => {
  it('profiles work, signing in says 503, and nothing hangs', async () => {
    const lonely = await startUser()
    const email = newEmail()
    const { id } = (await lonely.ask('/api/users', { method: 'POST', body: { email, name: 'Ada', password } })).json()
    await lonely.redis.kill('SIGKILL')
    expect((await lonely.ask('/api/users/me', { as: { role: 'customer', userId: id } })).statusCode).toBe(200)
    const refused = await lonely.ask('/api/sessions', { method: 'POST', body: { email, password } })
    expect(refused.statusCode).toBe(503)
    expect(refused.headers['set-cookie']).toBeUndefined()
    await lonely.stop()
  })
})
