import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { createSigner } from 'fast-jwt'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createIdentityMinter, createIdentityVerifier, generateIdentityKeys, type Identity } from './identity.ts'

const keys = generateIdentityKeys()
const pem = (base64: string) => Buffer.from(base64, 'base64').toString()
const mint = createIdentityMinter(keys.IDENTITY_PRIVATE_KEY)
const verify = createIdentityVerifier(keys.IDENTITY_PUBLIC_KEY)
const customer: Identity = { role: 'customer', userId: '0195e3a8-58d4-7cc4-9a6b-0123456789ab', session: 'handle' }

/** Signed with the right key, but not by our minter. */
const sign = (claims: object, options: object = {}) =>
  createSigner({
    algorithm: 'EdDSA',
    key: pem(keys.IDENTITY_PRIVATE_KEY),
    iss: 'gateway',
    expiresIn: 30_000,
    ...options,
  })(claims)

afterEach(() => void vi.useRealTimers())

test.each<[string, Identity]>([
  ['a guest', { role: 'guest' }],
  ['a customer', customer],
  ['an administrator', { role: 'admin', userId: 'a', session: 's' }],
])('%s arrives as it was sent', (_name, identity) => {
  expect(verify(mint(identity))).toEqual(identity)
})

describe('a token is refused', () => {
  const token = mint(customer)
  const [head, body, signature] = token.split('.') as [string, string, string]
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const admin = encode({ role: 'admin', sub: 'x', iss: 'gateway', iat: Date.now() / 1000, exp: Date.now() / 1000 + 30 })
  const publicPem = pem(keys.IDENTITY_PUBLIC_KEY)
  const asSecret = createSigner({ algorithm: 'HS256', key: 'x'.repeat(40), iss: 'gateway', expiresIn: 30_000 })({
    role: 'admin',
    sub: 'x',
  })

  test.each<[string, string | string[]]>([
    ['when its claims were changed', `${head}.${admin}.${signature}`],
    ['when its signature was cut off', `${head}.${body}.`],
    ['when it says that it needs no signature', `${encode({ alg: 'none', typ: 'JWT' })}.${admin}.`],
    ['when it is signed with a shared secret', asSecret],
    ['when it only claims a shared secret', `${encode({ alg: 'HS256', typ: 'JWT' })}.${admin}.${signature}`],
    ['when another gateway signed it', createIdentityMinter(generateIdentityKeys().IDENTITY_PRIVATE_KEY)(customer)],
    ['when somebody else is its issuer', sign({ role: 'admin', sub: 'x' }, { iss: 'catalog' })],
    ['when nobody is its issuer', sign({ role: 'admin', sub: 'x' }, { iss: undefined })],
    ['when it never expires', sign({ role: 'admin', sub: 'x' }, { expiresIn: undefined })],
    ['when it has no role', sign({ sub: 'x' })],
    ['when its role is unknown', sign({ role: 'root', sub: 'x' })],
    ['when its customer has no name', sign({ role: 'customer' })],
    ['when its user is not a text', sign({ role: 'admin', sub: 7 })],
    ['when it is not yet valid', sign({ role: 'guest' }, { notBefore: 60_000 })],
    ['when there are two', [token, token]],
    ['when it is noise', 'noise'],
    ['when it is three empty parts', '..'],
    ['when it is the public key', publicPem],
  ])('%s', (_name, bad) => {
    expect(() => verify(bad)).toThrow(expect.objectContaining({ kind: 'unauthenticated', code: 'identity-invalid' }))
  })

  test.each([undefined, ''])('as missing when it is %j', (nothing) => {
    expect(() => verify(nothing)).toThrow(expect.objectContaining({ code: 'identity-missing' }))
  })
})

describe('time', () => {
  test('a token lives 30 seconds, and 5 more for clocks that are not quite right', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 })
    const token = mint({ ...customer, session: 'time' })
    vi.setSystemTime(1_800_000_034_000)
    expect(verify(token)).toMatchObject({ role: 'customer' })
    vi.setSystemTime(1_800_000_036_000)
    expect(() => verify(token)).toThrow('has expired')
  })

  test('that it was verified before does not make it live longer', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_900_000_000_000 })
    const token = mint({ ...customer, session: 'cached' })
    for (let second = 0; second <= 35; second += 1) {
      vi.setSystemTime(1_900_000_000_000 + second * 1_000)
      expect(verify(token)).toMatchObject({ role: 'customer' })
    }
    vi.setSystemTime(1_900_000_035_001)
    expect(() => verify(token)).toThrow('has expired')
  })

  test('a gateway whose clock is ahead is believed', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_700_000_004_000 })
    const token = mint({ ...customer, session: 'ahead' })
    vi.setSystemTime(1_700_000_000_000)
    expect(verify(token)).toMatchObject({ role: 'customer' })
  })

  test('one identity is signed once in 10 seconds, so that a token handed out has 20 left', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_600_000_000_000 })
    const first = mint({ ...customer, session: 'reuse' })
    vi.setSystemTime(1_600_000_009_999)
    expect(mint({ ...customer, session: 'reuse' })).toBe(first)
    expect(mint({ ...customer, session: 'other' })).not.toBe(first)
    vi.setSystemTime(1_600_000_010_000)
    expect(mint({ ...customer, session: 'reuse' })).not.toBe(first)
  })
})

test('what is remembered is bounded', () => {
  const small = createIdentityMinter(keys.IDENTITY_PRIVATE_KEY, { maxCached: 2 })
  const tokenOf = (session: string) => small({ ...customer, session })
  const first = tokenOf('1')
  expect(tokenOf('1')).toBe(first)
  tokenOf('2')
  tokenOf('3')
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2_000 })
  expect(tokenOf('1')).not.toBe(first)
})

describe('a key that is none is refused at the start, without being quoted', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' })
  const x25519 = generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'pem' })
  test.each([
    ['noise', 'noise'],
    ['an RSA key', Buffer.from(rsa).toString('base64')],
    ['a key for another purpose', Buffer.from(x25519).toString('base64')],
    [
      'a PEM that is not in base64',
      createPublicKey(pem(keys.IDENTITY_PUBLIC_KEY)).export({ type: 'spki', format: 'pem' }).toString(),
    ],
  ])('%s', (_name, key) => {
    expect(() => createIdentityVerifier(key)).toThrow('the identity key must be the base64 of an Ed25519 PEM')
    expect(() => createIdentityMinter(key)).toThrow('the identity key must be the base64 of an Ed25519 PEM')
  })

  test('the public key cannot mint', () => {
    expect(() => createIdentityMinter(keys.IDENTITY_PUBLIC_KEY)).toThrow('Ed25519')
  })
})
