import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateIdentityKeys } from '@shop/service-kit/identity'
import { startRedisWithUsers } from '@shop/service-kit/storage/redis-users.fixture'
import { testDatabase } from '@shop/test-kit/postgres'
import { startService } from '@shop/test-kit/service'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { root } from './command-line/run.ts'
import { generateAccounts } from './seed/accounts.ts'
import { generateProducts } from './seed/catalogue.ts'
import { seed } from './seed.ts'

/** Three services and three servers start, and the command itself is a process, on a machine that may be busy. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

const [catalogUrl, userUrl] = (await Promise.all([testDatabase('catalog'), testDatabase('user')])).map(
  ({ url }) => url,
) as [string, string]
const accounts = generateAccounts()
const password = accounts.find(({ role }) => role === 'admin')?.password ?? ''
const folder = mkdtempSync(join(tmpdir(), 'shop-import-'))
const undo: (() => Promise<unknown>)[] = []
let shop: string

beforeAll(async () => {
  await seed({ catalogUrl, userUrl, productCount: 20, accounts })
  shop = await startShop()
})
afterAll(async () => {
  for (const step of undo.reverse()) await step()
  rmSync(folder, { recursive: true })
})

/** As much of it as an import needs: the gateway, whoever signs people in, and the catalog. */
async function startShop(): Promise<string> {
  const [state, cache] = await Promise.all([startRedisWithUsers('state'), startRedisWithUsers('cache')])
  undo.push(state.stop, cache.stop)
  const keys = generateIdentityKeys()
  const stateAs = (service: string) => ({ REDIS_STATE_URL: state.urlAs(service) })
  const cacheAs = (service: string) => ({ REDIS_CACHE_URL: cache.urlAs(service) })
  const verify = { IDENTITY_PUBLIC_KEY: keys.IDENTITY_PUBLIC_KEY }
  const services = [
    { app: 'catalog', env: { ...stateAs('catalog'), ...cacheAs('catalog'), ...verify, DATABASE_URL: catalogUrl } },
    { app: 'user', env: { ...stateAs('user'), ...verify, DATABASE_URL: userUrl, SIGN_IN_LIMIT_COUNT: '1000' } },
    {
      app: 'gateway',
      env: { ...stateAs('gateway'), ...cacheAs('gateway'), IDENTITY_PRIVATE_KEY: keys.IDENTITY_PRIVATE_KEY },
    },
  ]
  const started = await Promise.all(services.map(startService))
  undo.push(() => Promise.all(started.map((service) => service.stop())))
  const url = started[2]?.url ?? ''
  const statuses = async () => {
    const answers = await Promise.all(['products', 'sessions'].map((name) => fetch(`${url}/api/${name}`)))
    return answers.map(({ status }) => status).join()
  }
  await vi.waitFor(async () => expect(await statuses()).toBe('200,401'), { timeout: 30_000 })
  return url
}

interface Run {
  env?: Record<string, string>
  input?: string
}

/** The command as npm would run it, from a folder of the person's own. */
const runImport = (args: readonly string[], run: Run = {}) =>
  runProgram(process.execPath, [join(root, 'tools/import.ts'), ...args], run)

async function runProgram(program: string, args: readonly string[], { env = {}, input = '' }: Run) {
  const { PATH, HOME } = process.env
  const variables = { PATH, HOME, INIT_CWD: folder, SHOP_URL: shop, SHOP_ADMIN_PASSWORD: password, ...env }
  const child = spawn(program, args, { cwd: folder, env: variables, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => {}).end(input)
  const [out, err, [code]] = await Promise.all([child.stdout.toArray(), child.stderr.toArray(), once(child, 'exit')])
  return { code, out: out.join(''), err: err.join('') }
}

const query = async (url: string, text: string) => {
  const client = new pg.Client(url)
  await client.connect()
  return (await client.query(text).finally(() => client.end())).rows
}
const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
const header = 'sku,name,description,category,priceCents,stockCount'
const linesOf = (count: number) =>
  Array.from(generateProducts(count), ({ createdAt: _, ...product }) => `${JSON.stringify(product)}\n`).join('')

describe('an import', () => {
  it('adds and changes products, and changes nothing when it is repeated', async () => {
    write('tea.csv', `${header}\nTEA-1,"Tea, green",Leaves.,pantry,499,3\nTEA-2,Tea,,pantry,1,0\n`)
    expect(await runImport(['tea.csv'])).toMatchObject({ code: 0, out: expect.stringContaining(': 2 added\n') })
    write('tea.csv', `${header}\nTEA-1,"Tea, green",Leaves.,pantry,499,3\nTEA-2,Tea,,pantry,2,0\n`)
    expect((await runImport(['tea.csv'])).out).toContain(': 1 changed, 1 unchanged\n')
    expect(await (await fetch(`${shop}/api/products/TEA-2`)).json()).toMatchObject({ priceCents: 2 })
  })

  it('of twenty thousand products arrives whole, by way of the gateway', async () => {
    write('many.ndjson', linesOf(20_000))
    const { code, out } = await runImport([join(folder, 'many.ndjson')])
    expect(out).toMatch(/^20,000 products read in [\d.]+ s: 19,980 added, 20 unchanged\n$/)
    expect(code).toBe(0)
    const [{ count }] = await query(catalogUrl, "SELECT count(*)::int FROM products WHERE sku NOT LIKE 'TEA-%'")
    expect(count).toBe(20_000)
  })

  it('reads standard input when it is told what comes', async () => {
    expect((await runImport(['-', '--format', 'ndjson'], { input: linesOf(5) })).out).toContain(': 5 unchanged\n')
  })

  it('names the lines that were refused, takes the others, and fails', async () => {
    write('bad.csv', `${header}\nTEA-7,Tea,,pantry,1,1\nTEA-8,Tea,,pantry,free,1\nTEA-9,Tea,,no-such,1,1\n`)
    const { code, out } = await runImport(['bad.csv'])
    expect(code).toBe(1)
    expect(out.split('\n').slice(1)).toEqual([
      'line 3, TEA-8: priceCents must be integer (validation-failed)',
      'line 4, TEA-9: the category does not exist (category-unknown)',
      '',
    ])
    expect((await fetch(`${shop}/api/products/TEA-7`)).status).toBe(200)
  })

  it('is what the README says', async () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8')
    const [, commands = ''] = /## Fill it\n.*?```sh\n(.*?)```/s.exec(readme) ?? []
    expect(commands).toContain('npm run import -- ')
    expect(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts.import).toBe(
      'exec node tools/bootstrap.mjs import',
    )
    const here = commands
      .replaceAll('npm run import --', `"${process.execPath}" "${join(root, 'tools/import.ts')}"`)
      .replace(/SHOP_ADMIN_PASSWORD='[^']*' /, '')
    const { code, out, err } = await runProgram('sh', ['-ec', here], {})
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain(': 1 added\n')
  })

  it('leaves nobody signed in', async () => {
    const body = JSON.stringify({ email: 'admin@example.com', password })
    const headers = { 'content-type': 'application/json' }
    const signedIn = await fetch(`${shop}/api/sessions`, { method: 'POST', headers, body })
    const cookie = signedIn.headers.getSetCookie().join('; ')
    const sessions = await (await fetch(`${shop}/api/sessions`, { headers: { cookie } })).json()
    expect((sessions as { items: unknown[] }).items).toHaveLength(1)
  })
})

describe('what went wrong is said in a sentence:', () => {
  const tea = ['tea.csv']
  it.each<[what: string, args: string[], env: Record<string, string>, sentence: RegExp]>([
    ['no file named', [], {}, /^Name a file/],
    ['two files', ['a.csv', 'b.csv'], {}, /^Name one file only, without b\.csv/],
    ['no such file', ['none.csv'], {}, /^File not found: \S+none\.csv\./],
    ['a folder', ['.', '--format', 'csv'], {}, /^\. is not a file\./],
    ['a name that does not say what it holds', ['tea.txt'], {}, /^The file name tea\.txt .* --format csv\./],
    ['a format that there is not', [...tea, '--format', 'xml'], {}, /^--format must be ndjson or csv, not "xml"/],
    ['an option that there is not', [...tea, '--force'], {}, /--force/],
    ['a URL that is none', [...tea, '--url', 'localhost'], {}, /^--url \(or SHOP_URL\) must be a URL like/],
    [
      'no shop',
      [...tea, '--url', 'http://127.0.0.1:9'],
      {},
      /^http:\/\/127\.0\.0\.1:9 cannot be reached \(fetch refuses this port\): .* --url or SHOP_URL\./,
    ],
    ['no password and no terminal', tea, { SHOP_ADMIN_PASSWORD: '' }, /^SHOP_ADMIN_PASSWORD is missing/],
    [
      'no shop and no password',
      [...tea, '--url', 'http://127.0.0.1:1023'],
      { SHOP_ADMIN_PASSWORD: '' },
      /^http:\/\/127\.0\.0\.1:1023 cannot be reached \(ECONNREFUSED\): .* --url or SHOP_URL\./,
    ],
    ['a wrong password', tea, { SHOP_ADMIN_PASSWORD: 'wrong' }, /refuses the sign-in of admin@example\.com/],
  ])('%s', async (_, args, env, sentence) => {
    write('tea.csv', `${header}\n`)
    const { code, out, err } = await runImport(args, { env })
    expect(err).toMatch(sentence)
    expect([code, out]).toEqual([2, ''])
  })

  it('an account that may not', async () => {
    const ada = accounts.find(({ role }) => role === 'customer')
    const env = { SHOP_ADMIN_PASSWORD: ada?.password ?? '' }
    const { code, err } = await runImport(['tea.csv', '--email', ada?.email ?? ''], { env })
    expect([code, err]).toEqual([2, expect.stringMatching(/is not an administrator/)])
  })

  it('a file without the columns', async () => {
    write('columns.csv', 'a,b\n1,2\n')
    const { code, err } = await runImport(['columns.csv'])
    const sentence = /refused the file \(400\)\. The first line must name the columns sku/
    expect([code, err]).toEqual([2, expect.stringMatching(sentence)])
  })

  it('and --help says the rest', async () => {
    expect(await runImport(['--help'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('npm run import -- FILE'),
    })
  })
})
