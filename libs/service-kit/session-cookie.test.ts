import { parseSetCookie } from 'cookie'
import { expect, test } from 'vitest'
import { createSessionCookie } from './session-cookie.ts'

const maxAgeMs = 30 * 60_000
const overHttp = createSessionCookie({ publicUrl: 'http://localhost:8080', maxAgeMs })
const overHttps = createSessionCookie({ publicUrl: 'https://shop.example', maxAgeMs })
const id = 'u4IDDbwrvKHX-at-RPGx8N2eoP9pyWHd9UFNEJlDApA-T5OGeQs'

test('on https it is Secure and bound to this host alone', () => {
  expect(overHttps.name).toBe('__Host-shop_session')
  expect(overHttps.write(id)).toBe(`__Host-shop_session=${id}; Max-Age=1800; Path=/; HttpOnly; Secure; SameSite=Lax`)
})

test('on http it is the same without what http cannot keep', () => {
  expect(overHttp.write(id)).toBe(`shop_session=${id}; Max-Age=1800; Path=/; HttpOnly; SameSite=Lax`)
})

test('what is written is read back, between other cookies', () => {
  for (const cookie of [overHttp, overHttps]) {
    const pair = cookie.write(id).split(';')[0]
    expect(cookie.read(pair)).toBe(id)
    expect(cookie.read(`theme=dark; ${pair}; shop_cart=x`)).toBe(id)
  }
})

test('other cookies are not taken for it', () => {
  for (const header of [
    undefined,
    '',
    'theme=dark',
    `my_shop_session=${id}`,
    `shop_session_old=${id}`,
    'shop_session',
  ]) {
    expect(overHttp.read(header)).toBeUndefined()
  }
})

test('on https a cookie without the prefix, which plain http could have planted, is ignored', () => {
  expect(overHttps.read(`shop_session=${id}`)).toBeUndefined()
})

test('clearing it has the same name, path and flags, or browsers would keep the old one', () => {
  for (const cookie of [overHttp, overHttps]) {
    const { value: _, maxAge: __, ...written } = parseSetCookie(cookie.write(id))
    const { value, maxAge, expires, ...cleared } = parseSetCookie(cookie.clear())
    expect(cleared).toEqual(written)
    expect([value, maxAge, expires?.getTime()]).toEqual(['', 0, 0])
  }
})
