import { parseSetCookie } from 'cookie'
import { expect, test } from 'vitest'
import { createSessionCookie } from './session-cookie.ts'

const cookie = createSessionCookie({ name: 'shop_session', maxAgeMs: 30 * 60_000 })
const http = (header?: string) => ({ protocol: 'http' as const, headers: { cookie: header } })
const https = (header?: string) => ({ protocol: 'https' as const, headers: { cookie: header } })
const id = 'u4IDDbwrvKHX-at-RPGx8N2eoP9pyWHd9UFNEJlDApA-T5OGeQs'

test('over https it is Secure and bound to this host alone', () => {
  const written = cookie.write(id, https())
  expect(written).toBe(`__Host-shop_session=${id}; Max-Age=1800; Path=/; HttpOnly; Secure; SameSite=Lax`)
})

test('over http it is the same without what http cannot keep', () => {
  expect(cookie.write(id, http())).toBe(`shop_session=${id}; Max-Age=1800; Path=/; HttpOnly; SameSite=Lax`)
})

test('what is written is read back, between other cookies', () => {
  for (const request of [http, https]) {
    const pair = cookie.write(id, request()).split(';')[0]
    expect(cookie.read(request(pair))).toBe(id)
    expect(cookie.read(request(`theme=dark; ${pair}; shop_cart=x`))).toBe(id)
  }
})

test.each(['%00', '%41', '%', '"quoted"', '%0d%0aset-cookie: a=1'])('%s is read as it was sent', (value) => {
  expect(cookie.read(http(`shop_session=${value}`))).toBe(value)
})

test('other cookies are not taken for it', () => {
  const others = [undefined, '', 'theme=dark', `my_shop_session=${id}`, `shop_session_old=${id}`, 'shop_session']
  for (const header of others) expect(cookie.read(http(header))).toBeUndefined()
})

test('over https a cookie without the prefix, which plain http could have planted, is ignored', () => {
  expect(cookie.read(https(`shop_session=${id}`))).toBeUndefined()
})

test('clearing it has the same name, path and flags, or browsers would keep the old one', () => {
  for (const request of [http(), https()]) {
    const { value: _, maxAge: __, ...written } = parseSetCookie(cookie.write(id, request))
    const { value, maxAge, expires, ...cleared } = parseSetCookie(cookie.clear(request))
    expect(cleared).toEqual(written)
    expect([value, maxAge, expires?.getTime()]).toEqual(['', 0, 0])
  }
})
