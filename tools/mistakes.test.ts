/**
 * What a person may get wrong in their first hour, and what the demo, a service or a tool says: one sentence with the name of the
 * thing, what was found and what to do. No stack, no hang, no success, and never a password.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateIdentityKeys } from '@shop/service-kit/identity'
import { pickPort } from '@shop/test-kit/port'
import { startPostgres } from '@shop/test-kit/postgres-server'
import { startRedis } from '@shop/test-kit/redis-server'
import pg from 'pg'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { root } from './command-line/run.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const secret = 'hunter2-of-nobody'
const folder = mkdtempSync(join(tmpdir(), 'shop-mistakes-'))
const file = join(folder, 'a-file')
/** Filled in before the first test; tests name them by a function. */
const at = { redis: '', oldRedis: '', postgres: '', weakPostgres: '', takenPort: 0, closedPort: 0, silentPort: 0 }

beforeAll(async () => {
  writeFileSync(file, 'not what is expected')
  const redis = await startRedis({ password: secret })
  const postgres = await startPostgres()
  const taken = await listen(() => {})
  const old = await listen((socket) => void socket.on('data', (data) => socket.write(answersOfOldRedis(`${data}`))))
  const silent = await listen(() => {})
  at.redis = redis.url
  at.postgres = postgres.url
  at.weakPostgres = await weakRole(postgres.url)
  at.takenPort = portOf(taken)
  at.oldRedis = `redis://127.0.0.1:${portOf(old)}`
  at.silentPort = portOf(silent)
  at.closedPort = await pickPort()
  return async () => {
    for (const server of [taken, old, silent]) server.close()
    await Promise.all([redis.stop(), postgres.stop()])
    rmSync(folder, { recursive: true })
  }
})

const info = '# Server\r\nredis_version:6.2.14\r\nrole:master\r\nloading:0\r\n'

function answersOfOldRedis(commands: string): string {
  const names = [...commands.matchAll(/^\*\d+\r\n\$\d+\r\n(\w+)/gm)].map(([, name = '']) => name.toUpperCase())
  const answers: Record<string, string> = { HELLO: '%1\r\n+version\r\n+6.2.14', INFO: `$${info.length}\r\n${info}` }
  return names.map((name) => `${answers[name] ?? '+OK'}\r\n`).join('')
}

async function listen(onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => onSocket(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.unref()
}

function portOf(server: Server): number {
  return (server.address() as { port: number }).port
}

async function weakRole(url: string): Promise<string> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(`CREATE ROLE weak LOGIN PASSWORD '${secret}'`)
  await client.end()
  return Object.assign(new URL(url), { username: 'weak', password: secret }).href
}

interface Mistake {
  args?: () => string[]
  env?: () => Record<string, string>
  says: RegExp
}

interface Outcome {
  code: number | null
  out: string
  err: string
}

async function run(script: string, { args = () => [], env = () => ({}) }: Mistake): Promise<Outcome> {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [join(root, script), ...args()], {
    cwd: root,
    env: { PATH, HOME, ...env() },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  const texts = { out: '', err: '' }
  child.stdout.on('data', (piece) => {
    texts.out += piece
  })
  child.stderr.on('data', (piece) => {
    texts.err += piece
  })
  const [code] = await once(child, 'close')
  return { code, ...texts }
}

/** The lines that are not progress. */
function sentences({ err }: Outcome): string[] {
  return err.split('\n').filter((line) => line !== '' && !/…$|^See npm run|^\s{2,}at$/.test(line))
}

function check(outcome: Outcome, says: RegExp) {
  expect(sentences(outcome)).toEqual([expect.stringMatching(says)])
  expect(sentences(outcome)[0]).toMatch(/[.!]$/)
  expect(outcome.code).toBeGreaterThan(0)
  expect(outcome.err + outcome.out).not.toMatch(/^\s+at |node:internal|undefined|\[object/m)
  expect(outcome.err + outcome.out).not.toContain(secret)
}

const demo = (...args: string[]) => ['--port', '0', '--data', join(folder, 'data'), ...args]
const withPassword = (url: string, password: string) => Object.assign(new URL(url), { password }).href

describe('npm run demo', () => {
  test.each<[string, Mistake]>([
    [
      'a port that is no number',
      { args: () => ['--port', '80a'], says: /^--port must be a whole number .* not "80a"\.$/ },
    ],
    [
      'a port out of range',
      { args: () => ['--port', '65536'], says: /^--port must be a whole number from 0 to 65535/ },
    ],
    [
      'a port that is taken',
      { args: () => demo('--port', `${at.takenPort}`), says: /^Port \d+ is in use: .*--port N/ },
    ],
    [
      'a port that browsers refuse',
      { args: () => demo('--port', '6000'), says: /^Browsers refuse port 6000: .*--port N/ },
    ],
    ['an option that does not exist', { args: () => ['--prot', '1'], says: /^Unknown option --prot\./ }],
    ['an option without its value', { args: () => ['--data'], says: /^--data needs a value/ }],
    [
      'a data folder that the system does not make',
      {
        args: () => ['--port', '0', '--data', '/proc/none/data'],
        says: /^The data folder .* (cannot be created|is not writable)/,
      },
    ],
    ['a word too many', { args: () => ['now'], says: /^Unexpected argument "now"\./ }],
    [
      'an address of another machine',
      { args: () => demo('--host', '192.0.2.1'), says: /^--host 192\.0\.2\.1 is not an address of this machine/ },
    ],
    [
      'a host name that does not exist',
      {
        args: () => demo('--host', 'no.such.invalid'),
        says: /^--host no\.such\.invalid cannot be resolved/,
      },
    ],
    [
      'too many products',
      { args: () => ['--products', '1e9'], says: /^--products must be a whole number from 1 to 100000, not "1e9"/ },
    ],
    [
      'a data folder that is a file',
      { args: () => ['--port', '0', '--data', file], says: /^The data folder .*a-file is a file, .*--data DIR/ },
    ],
    ['a variable without a value', { args: () => demo('--env', 'LOG_LEVEL'), says: /^--env must be NAME=value/ }],
    [
      'a variable of an unknown service',
      { args: () => demo('--env', 'catlog:LOG_LEVEL=debug'), says: /^--env names a service "catlog", .*catalog-1/ },
    ],
    [
      'a variable that no service reads',
      { args: () => demo('--env', 'CART_TTL=5'), says: /^--env names CART_TTL, .*nearest name is CART_TTL_MS/ },
    ],
    [
      'a variable of another service',
      { args: () => demo('--env', 'user:CART_TTL_MS=5'), says: /^--env names CART_TTL_MS, which user ignores/ },
    ],
    [
      'a value that a service refuses',
      {
        args: () => demo('--env', 'user:DATABASE_POOL_MAX=none'),
        says: /^user cannot start: DATABASE_POOL_MAX is "none": set it to a whole number/,
      },
    ],
    [
      'an unknown service to inspect',
      { args: () => demo('--inspect', 'basket'), says: /^--inspect names a service "basket"/ },
    ],
    [
      'a debugger’s port that is taken',
      { args: () => demo('--inspect', `order:${at.takenPort}`), says: /^Port \d+ is in use: .*--inspect order-1:PORT/ },
    ],
    [
      'a log level that does not exist',
      { args: () => demo(), env: () => ({ LOG_LEVEL: 'loud' }), says: /^\S+ cannot start: LOG_LEVEL is "loud"/ },
    ],
  ])('%s', async (_name, mistake) => {
    check(await run('tools/stack.ts', mistake), mistake.says)
  })
})

describe('npm run demo on servers that exist', () => {
  test.each<[string, Mistake]>([
    [
      'a Redis URL of another kind',
      { args: () => demo('--redis', 'http://localhost'), says: /^--redis-cache must be the URL of a Redis/ },
    ],
    [
      'a Redis that is not there',
      {
        args: () => demo('--redis-state', `redis://127.0.0.1:${at.closedPort}`),
        says: /^--redis-state: the Redis at 127\.0\.0\.1:\d+ refuses the connection/,
      },
    ],
    [
      'a Redis host that does not exist',
      {
        args: () => demo('--redis-state', 'redis://no.such.invalid'),
        says: /^--redis-state: .* name that cannot be resolved/,
      },
    ],
    [
      'a Redis that is silent',
      {
        args: () => demo('--redis-state', `redis://127.0.0.1:${at.silentPort}`),
        says: /^--redis-state: .* does not answer within 5 s/,
      },
    ],
    [
      'a wrong Redis password',
      {
        args: () => demo('--redis-state', withPassword(at.redis, 'wrong')),
        says: /^--redis-state: .* refuses the user or the password/,
      },
    ],
    [
      'no Redis password',
      { args: () => demo('--redis-state', withPassword(at.redis, '')), says: /^--redis-state: .* needs a password/ },
    ],
    [
      'a Cluster URL for one server',
      {
        args: () => demo('--redis-state', at.redis.replace('redis:', 'redis+cluster:')),
        says: /^--redis-state: .* is not a Cluster: write redis:\/\//,
      },
    ],
    [
      'TLS where there is none',
      {
        args: () => demo('--redis-state', at.redis.replace('redis:', 'rediss:')),
        says: /^--redis-state: .* write redis:\/\//,
      },
    ],
    [
      'an authority’s file that is not there',
      {
        args: () => demo('--redis-state', at.redis, '--env', 'REDIS_TLS_CA_FILE=/no/ca.pem'),
        says: /^REDIS_TLS_CA_FILE names \/no\/ca\.pem, which cannot be read \(ENOENT\)/,
      },
    ],
    [
      'a Redis that is too old',
      {
        args: () => demo('--redis-state', at.oldRedis),
        says: /^--redis-state: .* is version 6\.2\.14: the shop needs Redis 7/,
      },
    ],
    [
      'a Postgres URL of another kind',
      {
        args: () => demo('--postgres', 'mysql://localhost/shop'),
        says: /^--postgres is not the URL of a Postgres \(it begins with mysql:\)/,
      },
    ],
    [
      'a Postgres that is not there',
      {
        args: () => demo('--postgres', `postgres://u:p@127.0.0.1:${at.closedPort}`),
        says: /^--postgres: the Postgres at .* refuses the connection/,
      },
    ],
    [
      'a wrong Postgres password',
      {
        args: () => demo('--postgres', withPassword(at.postgres, 'wrong')),
        says: /^--postgres: .* refuses the password of "postgres"/,
      },
    ],
    [
      'a database that does not exist',
      {
        args: () => demo('--postgres', at.postgres.replace(/\/postgres$/, '/nowhere')),
        says: /^--postgres: .* has no database "nowhere"/,
      },
    ],
    [
      'a role that may not create databases',
      {
        args: () => demo('--postgres', at.weakPostgres),
        says: /^--postgres: .* run ALTER ROLE "weak" CREATEDB CREATEROLE/,
      },
    ],
  ])('%s', async (_name, mistake) => {
    check(await run('tools/stack.ts', mistake), mistake.says)
  })
})

const keys = generateIdentityKeys()
const configured = (changes: Record<string, string>) => ({
  DATABASE_URL: 'postgres://u:p@127.0.0.1:1/catalog',
  REDIS_CACHE_URL: 'redis://127.0.0.1:1',
  REDIS_STATE_URL: 'redis://127.0.0.1:1',
  IDENTITY_PUBLIC_KEY: keys.IDENTITY_PUBLIC_KEY,
  ...changes,
})

describe('a service', () => {
  test.each<[string, Mistake]>([
    [
      'no database',
      {
        env: () => configured({ DATABASE_URL: '' }),
        says: /^catalog cannot start: DATABASE_URL is missing: set it to a URL like postgres:/,
      },
    ],
    [
      'a database URL without a database',
      {
        env: () => configured({ DATABASE_URL: `postgres://u:${secret}@h:5432` }),
        says: /^catalog cannot start: DATABASE_URL names no database/,
      },
    ],
    [
      'a Redis URL of another kind',
      {
        env: () => configured({ REDIS_STATE_URL: `https://u:${secret}@h` }),
        says: /^catalog cannot start: REDIS_STATE_URL begins with https:/,
      },
    ],
    [
      'a port out of range',
      { env: () => configured({ PORT: '70000' }), says: /^catalog cannot start: PORT is "70000"/ },
    ],
    [
      'a port that is taken',
      {
        env: () => configured({ PORT: `${at.takenPort}` }),
        says: /^catalog cannot start: port \d+ of 127\.0\.0\.1 is in use by another process/,
      },
    ],
    [
      'an authority’s file that is not there',
      {
        env: () => configured({ REDIS_TLS_CA_FILE: '/no/ca.pem' }),
        says: /^catalog cannot start: REDIS_TLS_CA_FILE names \/no\/ca\.pem, which cannot be read \(ENOENT\)/,
      },
    ],
    [
      'an authority’s file of another kind',
      {
        env: () => configured({ REDIS_TLS_CA_FILE: file }),
        says: /^catalog cannot start: REDIS_TLS_CA_FILE names .*, which holds no certificate/,
      },
    ],
    [
      'the private key in the place of the public one',
      {
        env: () => configured({ IDENTITY_PUBLIC_KEY: keys.IDENTITY_PRIVATE_KEY }),
        says: /^catalog cannot start: IDENTITY_PUBLIC_KEY holds a private key/,
      },
    ],
  ])('%s', async (_name, mistake) => {
    check(await run('apps/catalog/main.ts', mistake), mistake.says)
  })
})

describe('the gateway', () => {
  const env = { REDIS_CACHE_URL: 'redis://127.0.0.1:1', REDIS_STATE_URL: 'redis://127.0.0.1:1' }
  test.each([
    ['TRUST_PROXY', `10.0.0.0/8,${secret}`],
    ['TRUSTED_ORIGINS', `https://${secret}/`],
  ])('%s that cannot be read', async (name, value) => {
    const mistake = { env: () => ({ ...env, IDENTITY_PRIVATE_KEY: keys.IDENTITY_PRIVATE_KEY, [name]: value }) }
    const says = new RegExp(`^gateway cannot start: ${name} is not valid: `)
    check(await run('apps/gateway/main.ts', { ...mistake, says }), says)
  })
})

const shop = () => ({ SHOP_ADMIN_EMAIL: 'admin@example.com', SHOP_ADMIN_PASSWORD: secret })

describe('a tool', () => {
  test.each<[string, string, Mistake]>([
    ['migrate', 'no URL', { says: /^CATALOG_DATABASE_URL, .* missing: set each to the URL/ }],
    [
      'migrate',
      'an unknown service',
      { args: () => ['--service', 'catlog'], says: /^unknown service "catlog": use one of catalog/ },
    ],
    [
      'migrate',
      'a wrong password',
      {
        args: () => ['--service', 'catalog', '--url', withPassword(at.postgres, 'wrong')],
        says: /^--url: .* refuses the password/,
      },
    ],
    [
      'migrate',
      'a URL without a database',
      {
        args: () => ['--service', 'catalog'],
        env: () => ({ CATALOG_DATABASE_URL: 'postgres://u:p@h' }),
        says: /^CATALOG_DATABASE_URL names no database/,
      },
    ],
    ['migrate', 'an unknown option', { args: () => ['--servise', 'catalog'], says: /^Unknown option --servise\./ }],
    ['seed', 'no URL', { says: /^CATALOG_DATABASE_URL is missing/ }],
    [
      'seed',
      'a server that is not there',
      {
        env: () => ({ CATALOG_DATABASE_URL: `postgres://u:p@127.0.0.1:${at.closedPort}/catalog` }),
        says: /^CATALOG_DATABASE_URL: .* refuses the connection/,
      },
    ],
    [
      'seed',
      'a database without tables',
      { env: () => ({ CATALOG_DATABASE_URL: at.postgres }), says: /run npm run migrate first/ },
    ],
    [
      'seed',
      'accounts that cannot be read',
      {
        env: () => ({ CATALOG_DATABASE_URL: at.postgres, USER_DATABASE_URL: at.postgres, SHOP_ACCOUNTS: '{]' }),
        says: /^SHOP_ACCOUNTS must be a list of accounts/,
      },
    ],
    ['import', 'no file', { says: /^Name a file/ }],
    [
      'import',
      'a file that is not there',
      { args: () => ['/no/products.csv'], env: shop, says: /^File not found: \/no\/products\.csv/ },
    ],
    [
      'import',
      'a file of an unknown kind',
      { args: () => [file], env: shop, says: /does not tell the format: add --format/ },
    ],
    [
      'import',
      'a shop that is not there',
      {
        args: () => [file, '--format', 'csv', '--url', `http://127.0.0.1:${at.closedPort}`],
        env: shop,
        says: /^http:\/\/127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\)/,
      },
    ],
    ['streams', 'an unknown command', { args: () => ['lst'], says: /^Unknown command "lst"/ }],
    [
      'streams',
      'a URL that is none',
      {
        args: () => ['list', '--url', 'localhost'],
        env: shop,
        says: /^--url \(or SHOP_URL\) must be a URL like http:.*, not "localhost"/,
      },
    ],
    [
      'streams',
      'no shop, before a password is asked for',
      {
        args: () => ['list', '--url', `http://127.0.0.1:${at.closedPort}`],
        says: /^http:\/\/127\.0\.0\.1:\d+ cannot be reached \(ECONNREFUSED\): .* --url or SHOP_URL/,
      },
    ],
    ['outage', 'a rate that is no number', { args: () => ['--rate', 'fast'], says: /^--rate must be a whole number/ }],
  ])('%s: %s', async (tool, _name, mistake) => {
    check(await run(`tools/${tool}.ts`, mistake), mistake.says)
  })
})

test('a Redis that keeps what the cache should evict is said, and the start goes on', async () => {
  const { err } = await run('tools/stack.ts', {
    args: () => demo('--redis', at.redis, '--postgres', `postgres://u:p@127.0.0.1:${at.closedPort}`),
    says: /./,
  })
  expect(err).toContain('--redis-cache: maxmemory-policy is noeviction; the cache role needs')
  expect(err).not.toContain('--redis-state: maxmemory-policy')
})
