import { randomBytes } from 'node:crypto'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
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
import { generateIdentityKeys } from './identity.ts'

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
  expect(problemsOf(schema, { A: '  ', B: '' })).toEqual(['A is missing: text (a)'])
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

test('no value is ever in the message, whatever it is', () => {
  for (let round = 0; round < 200; round += 1) {
    const value = randomBytes(9).toString('base64').replaceAll('/', '%')
    const env = Object.fromEntries(Object.keys(everything.properties).map((name) => [name, `%${value}`]))
    const problems = problemsOf(everything, env)
    expect(problems.length).toBeGreaterThan(8)
    expect(problems.join()).not.toContain(value)
  }
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
