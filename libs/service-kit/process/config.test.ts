import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { generateIdentityKeys } from '../identity/identity.ts'
import {
  ConfigError,
  cacheConfig,
  commonConfig,
  databaseConfig,
  describeConfig,
  Flag,
  Integer,
  loadConfig,
  mintIdentityConfig,
  OneOf,
  Port,
  Secret,
  stateConfig,
  Text,
  Url,
  verifyIdentityConfig,
} from './config.ts'

const everything = Type.Object({
  ...commonConfig,
  ...databaseConfig,
  ...cacheConfig,
  ...stateConfig,
  ...verifyIdentityConfig,
  ...mintIdentityConfig,
})
const complete = {
  DATABASE_URL: 'postgres://app:pw@localhost:5432/app',
  REDIS_CACHE_URL: 'redis://localhost:6379',
  REDIS_STATE_URL: 'rediss+cluster://user:pw@h1:7000,h2:7001',
  ...generateIdentityKeys(),
}

function problemsOf(schema: Parameters<typeof loadConfig>[0], env: NodeJS.ProcessEnv): readonly string[] {
  try {
    loadConfig(schema, env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

test('what is not set has its default, and what is set has its type', () => {
  const config = loadConfig(everything, { ...complete, PORT: '8080', DATABASE_POOL_MAX: ' 20 ' })
  expect(config).toMatchObject({ HOST: '127.0.0.1', PORT: 8080, DATABASE_POOL_MAX: 20, LOG_LEVEL: 'info' })
  expect(config.ADVERTISE_HOST).toBeUndefined()
})

test('variables of others are ignored', () => {
  expect(loadConfig(Type.Object(commonConfig), { PATH: '/bin', PORT: '1' })).not.toHaveProperty('PATH')
})

test('an empty variable is one that is not set', () => {
  const schema = Type.Object({ A: Text({ doc: 'a' }), B: Integer({ doc: 'b', default: 3 }) })
  expect(problemsOf(schema, { A: '  ', B: '' })).toEqual(['A is missing: set it to text (a).'])
  expect(loadConfig(schema, { A: 'x', B: '' })).toEqual({ A: 'x', B: 3 })
})

test('every problem is named at once', () => {
  const names = problemsOf(everything, { PORT: '-1', LOG_LEVEL: 'loud', REDIS_CACHE_URL: 'http://x', DRAIN_MS: '1.5' })
  expect(names.map((problem) => problem.split(' ')[0])).toEqual([
    'PORT',
    'LOG_LEVEL',
    'DRAIN_MS',
    'DATABASE_URL',
    'REDIS_CACHE_URL',
    'REDIS_STATE_URL',
    'IDENTITY_PUBLIC_KEY',
    'IDENTITY_PRIVATE_KEY',
  ])
})

test('the value of a text, a URL or a key is never in the message, whatever it is', () => {
  for (let round = 0; round < 200; round += 1) {
    const value = randomBytes(9).toString('base64').replaceAll('/', '%')
    const texts = describeConfig(everything).filter(({ name }) => !/PORT$|LEVEL$|_MS$|_MAX$/.test(name))
    const env = Object.fromEntries(texts.map(({ name }) => [name, `%${value}`]))
    const problems = problemsOf(everything, env)
    expect(problems.length).toBeGreaterThan(5)
    expect(problems.join()).not.toContain(value)
  }
})

const { IDENTITY_PRIVATE_KEY: privateKey, IDENTITY_PUBLIC_KEY: publicKey } = generateIdentityKeys()
const pem = (label: string, body: string) =>
  Buffer.from(`-----BEGIN ${label} KEY-----\n${body}\n-----END ${label} KEY-----\n`).toString('base64')
const rsaKey = Buffer.from(
  generateKeyPairSync('rsa', {
    modulusLength: 1024,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  }).publicKey,
).toString('base64')

describe('a mistake is named with what was found and what to do', () => {
  test.each([
    ['PORT', '80a', 'PORT is "80a": set it to a whole number from 0 to 65535'],
    ['LOG_LEVEL', 'loud', 'LOG_LEVEL is "loud": set it to one of fatal, error'],
    ['DATABASE_URL', 'mysql://h/d', 'DATABASE_URL begins with mysql://: set it to a URL like postgres://'],
    ['DATABASE_URL', 'localhost/shop', 'DATABASE_URL is not a URL: set it to a URL like postgres://'],
    ['DATABASE_URL', 'postgres://u:p@h:5432', 'DATABASE_URL names no database'],
    ['DATABASE_URL', 'postgres:///shop', 'DATABASE_URL names no host'],
    ['DATABASE_URL', 'postgres://u:a#b/c@h/d', 'DATABASE_URL is not a valid URL (special characters in the password'],
    ['DATABASE_URL', 'postgres://u:p@h:99999/d', 'DATABASE_URL is not a valid URL'],
    ['REDIS_STATE_URL', 'http://h', 'REDIS_STATE_URL begins with http://: set it to a URL like redis://'],
    ['REDIS_STATE_URL', 'redis://h:99999', 'REDIS_STATE_URL is not valid (a port must be a number from 1 to 65535)'],
    ['REDIS_STATE_URL', 'redis://h/5', 'REDIS_STATE_URL is not valid (the database must be 0'],
    [
      'REDIS_STATE_URL',
      'redis://u:50%@h',
      'REDIS_STATE_URL is not valid (a % in a user, a password or a name must be written %25)',
    ],
    ['REDIS_STATE_URL', 'redis+sentinel://h:1', 'REDIS_STATE_URL is not valid (a redis+sentinel:// URL must end in'],
    [
      'REDIS_CACHE_URL',
      'redis://h1,h2',
      'REDIS_CACHE_URL is not valid (a URL with several hosts must begin with redis+cluster://',
    ],
    ['IDENTITY_PUBLIC_KEY', privateKey, 'IDENTITY_PUBLIC_KEY holds a private key'],
    ['IDENTITY_PRIVATE_KEY', publicKey, 'IDENTITY_PRIVATE_KEY holds a public key'],
    ['IDENTITY_PUBLIC_KEY', 'QUJD'.repeat(20), 'IDENTITY_PUBLIC_KEY is not a PEM in base64'],
    ['IDENTITY_PUBLIC_KEY', pem('PUBLIC', 'AAAA'), 'IDENTITY_PUBLIC_KEY holds a damaged key'],
    ['IDENTITY_PUBLIC_KEY', rsaKey, 'IDENTITY_PUBLIC_KEY holds a key of type rsa'],
  ])('%s=%s', (name, value, sentence) => {
    const problems = problemsOf(everything, { ...complete, [name]: value })
    expect(problems).toEqual([expect.stringContaining(sentence)])
    expect(problems[0]).toMatch(/^[^\n]+\.$/)
  })
})

describe('each kind of variable takes what it should and nothing else', () => {
  test.each([
    [
      'Integer',
      Integer({ doc: '', minimum: 1, maximum: 10 }),
      ['1', '10'],
      ['0', '11', '1.5', '1e1', '0x1', 'ten', 'NaN', 'Infinity', '١'],
    ],
    ['Port', Port({ doc: '' }), ['0', '65535'], ['65536', '-1', '80a']],
    ['Flag', Flag({ doc: '' }), ['true', 'false'], ['yes', '1', 'TRUE']],
    ['OneOf', OneOf(['a', 'b'], { doc: '' }), ['a', 'b'], ['c', 'A', 'a,b']],
    ['Secret', Secret({ doc: '' }), ['12345678'], ['1234567']],
    ['Url', Url({ doc: '' }), ['http://a', 'https://a:1/b'], ['ftp://a', 'a', 'http:// a', 'xhttp://a']],
    [
      'a Redis URL',
      stateConfig.REDIS_STATE_URL,
      ['redis://h', 'redis+sentinel://h1:1,h2:2/m', 'rediss://u:p@h'],
      ['redisx://h', 'unix:/s', 'redis+tls://h'],
    ],
    ['a Postgres URL', databaseConfig.DATABASE_URL, ['postgres://h/d', 'postgresql://u:p@h/d'], ['mysql://h/d']],
    ['an instance name', commonConfig.INSTANCE_ID, ['catalog-1', 'a.b_c'], ['a b', 'a\nb', 'x'.repeat(65)]],
  ])('%s', (_name, variable, good, bad) => {
    const schema = Type.Object({ V: variable })
    for (const value of good) expect([value, problemsOf(schema, { V: value })]).toEqual([value, []])
    for (const value of bad) expect([value, problemsOf(schema, { V: value }).length]).toEqual([value, 1])
  })
})

test('a description of each variable can be written into docs, and no secret has a default', () => {
  const described = describeConfig(everything)
  expect(described.find(({ name }) => name === 'PORT')).toEqual({
    name: 'PORT',
    doc: expect.any(String),
    expects: 'a whole number from 0 to 65535',
    required: false,
    secret: false,
    default: 0,
  })
  const secrets = described.filter(({ secret }) => secret)
  expect(secrets.map(({ name }) => name)).toEqual([
    'DATABASE_URL',
    'REDIS_CACHE_URL',
    'REDIS_STATE_URL',
    'IDENTITY_PRIVATE_KEY',
  ])
  expect(secrets.every((one) => one.required && !('default' in one))).toBe(true)
})
