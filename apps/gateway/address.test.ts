import { describe, expect, it } from 'vitest'
import { addressGroup, clientAddress, trustedProxies } from './address.ts'

const oneProxy = trustedProxies('1')
const from = (ip: string, remoteAddress = '192.0.2.1') =>
  clientAddress({ socket: { remoteAddress }, headers: { 'x-forwarded-for': ip } } as never, oneProxy)
const groupOf = (ip: string) => addressGroup(from(ip))

describe('an address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['0:0:0:0:0:FFFF:203.0.113.7', '203.0.113.7'],
    ['0000:0000:0000:0000:0000:ffff:cb00:7107', '203.0.113.7'],
    ['1::ffff:cb00:7107', '1:0:0:0'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0'],
    ['1:2::3:4:5:203.0.113.7', '1:2:0:3'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::9', '2001:db8:1:2'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ])('%s is counted as %s', (address, group) => expect(groupOf(address)).toBe(group))

  it.each([
    ['203.0.113.7:4711', '203.0.113.7'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[::ffff:203.0.113.7]:80', '203.0.113.7'],
  ])('%s, as some proxies write it, is %s', (written, address) => expect(from(written)).toBe(address))

  it.each([
    '',
    'unknown',
    '_hidden',
    '1.2.3',
    '1.2.3.4.5',
    '999.1.1.1',
    'x'.repeat(5_000),
    '1.2.3.4\r\nx',
    '[::1',
    'a:b:c',
  ])('%j is not an address, and the connection counts', (garbage) => expect(from(garbage)).toBe('192.0.2.1'))

  it('of the same /64 is counted together, of another apart', () => {
    expect(groupOf('2001:db8:1:2::1')).toBe(groupOf('2001:db8:1:2:ffff::1'))
    expect(groupOf('2001:db8:1:2::1')).not.toBe(groupOf('2001:db8:1:3::1'))
  })
})

describe('TRUST_PROXY', () => {
  it('believes no proxy when it is not set', () => {
    expect(trustedProxies()('127.0.0.1', 0)).toBe(false)
    expect(trustedProxies('0')('127.0.0.1', 0)).toBe(false)
  })

  it('as a number is how many proxies are believed, wherever they are', () => {
    const trust = trustedProxies('2')
    expect([0, 1, 2].map((hop) => trust('203.0.113.7', hop))).toEqual([true, true, false])
  })

  it.each([
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['::ffff:a01:203', true],
    ['::ffff:b00:1', false],
    ['10.1.2.3:5000', true],
    ['127.0.0.1', true],
    ['::1', true],
    ['2001:db8:7::1', true],
    ['192.0.2.9', true],
    ['192.0.2.10', false],
    ['11.0.0.1', false],
    ['2001:db8:8::1', false],
    ['unknown', false],
    [undefined, false],
  ])('as a list of networks believes %s: %s', (address, isTrusted) => {
    expect(trustedProxies('loopback, 10.0.0.0/8, 192.0.2.9, 2001:db8:7::/48')(address, 0)).toBe(isTrusted)
  })

  it.each(['proxy.local', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/', '::1/129', 'true', '-1', '10.0.0.0/8,,::1'])(
    'cannot be %s',
    (text) => expect(() => trustedProxies(text)).toThrow(TypeError),
  )
})
