import { describe, expect, test } from 'vitest'
import { createCrossOriginCheck } from './cross-origin.ts'

const isCrossOrigin = createCrossOriginCheck(['https://partner.example'])

describe('a request that changes something', () => {
  test.each([
    ['a page under localhost', { origin: 'http://localhost:8080', host: 'localhost:8080' }],
    ['a page under 127.0.0.1', { origin: 'http://127.0.0.1:8080', host: '127.0.0.1:8080' }],
    ['a page under an IPv6 address', { origin: 'http://[::1]:8080', host: '[::1]:8080' }],
    ["a page under a VM's name", { origin: 'http://vm.local:8080', host: 'VM.local:8080' }],
    ['a page behind a tunnel that ends TLS', { origin: 'https://abc.tunnel.example', host: 'abc.tunnel.example' }],
    [
      'a browser that says same-origin',
      { origin: 'https://shop.example', host: 'inner', 'sec-fetch-site': 'same-origin' },
    ],
    ['a person who typed the address', { host: 'shop.example', 'sec-fetch-site': 'none' }],
    ['a program', { host: 'shop.example' }],
    ['a program that sends no Host either', {}],
    ['a trusted origin', { origin: 'https://partner.example', host: 'shop.example', 'sec-fetch-site': 'cross-site' }],
  ])('passes from %s', (_, headers) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      expect(isCrossOrigin({ method, target: '/', headers })).toBe(false)
  })

  test.each([
    ['another site', { origin: 'https://evil.example', host: 'shop.example', 'sec-fetch-site': 'cross-site' }],
    ['another subdomain', { origin: 'https://blog.shop.example', host: 'shop.example', 'sec-fetch-site': 'same-site' }],
    ['a browser that says cross-site and no Origin', { host: 'shop.example', 'sec-fetch-site': 'cross-site' }],
    ['a value that no browser sends', { host: 'shop.example', 'sec-fetch-site': 'same-origin, none' }],
    ['another site in an old browser', { origin: 'https://evil.example', host: 'shop.example' }],
    ['another port in an old browser', { origin: 'http://localhost:3000', host: 'localhost:8080' }],
    ['a sandboxed page', { origin: 'null', host: 'shop.example' }],
    ['a host with a name in front', { origin: 'https://shop.example@evil.example', host: 'evil.example' }],
    ['a trusted host under another scheme', { origin: 'http://partner.example', host: 'shop.example' }],
    ['a page while the request names no host', { origin: 'https://evil.example' }],
  ])('is refused from %s', (_, headers) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'])
      expect(isCrossOrigin({ method, target: '/', headers })).toBe(true)
  })
})

test.each([
  ['http://shop.example/api', 'inner', 'https://shop.example', false],
  ['HTTPS://Shop.Example:8443', 'inner', 'https://shop.example:8443', false],
  ['http://shop.example/api', 'evil.example', 'https://evil.example', true],
  ['/http://evil.example/', 'shop.example', 'https://evil.example', true],
])('the host of the target %s counts before Host: %s', (target, host, origin, expected) => {
  expect(isCrossOrigin({ method: 'POST', target, headers: { host, origin } })).toBe(expected)
})

test('a request that changes nothing passes from everywhere', () => {
  const headers = { origin: 'https://evil.example', host: 'shop.example', 'sec-fetch-site': 'cross-site' }
  for (const method of ['GET', 'HEAD', 'OPTIONS']) expect(isCrossOrigin({ method, target: '/', headers })).toBe(false)
})

test.each(['partner.example', 'https://partner.example/', 'https://partner.example/path', 'null', '*', ''])(
  '%s is not accepted as a trusted origin',
  (origin) => expect(() => createCrossOriginCheck([origin])).toThrow(TypeError),
)
