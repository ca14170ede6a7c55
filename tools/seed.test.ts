import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ProductEvent } from '@shop/contracts/events'
import { verifyPassword } from '@shop/service-kit/identity/password'
import { testDatabase } from '@shop/test-kit/postgres'
import pg from 'pg'
import { Value } from 'typebox/value'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { productAt } from './seed/catalogue.ts'
import { type Account, seed } from './seed.ts'

const [catalogUrl, userUrl] = (await Promise.all([testDatabase('catalog'), testDatabase('user')])).map(
  ({ url }) => url,
) as [string, string]
const [catalog, users] = [catalogUrl, userUrl].map((connectionString) => new pg.Pool({ connectionString })) as [
  pg.Pool,
  pg.Pool,
]
afterAll(async () => {
  await Promise.all([catalog.end(), users.end()])
})

const countOf = async (table: string) => (await catalog.query(`SELECT count(*)::int FROM ${table}`)).rows[0].count

describe('seeding the catalog', () => {
  it('adds five thousand products exactly as they were made up, and adds nothing the second time', async () => {
    const lines: string[] = []
    expect(await seed({ catalogUrl, productCount: 5_000 })).toEqual({ newProductCount: 5_000 })
    expect(await seed({ catalogUrl, productCount: 5_000, onProgress: (line) => lines.push(line) })).toEqual({
      newProductCount: 0,
    })
    expect([await countOf('products'), await countOf('categories')]).toEqual([5_000, 20])
    for (const index of [0, 1234, 4_999]) {
      const { createdAt, ...product } = productAt(index)
      const { rows } = await catalog.query(
        `SELECT sku, name, description, category, price_cents AS "priceCents", stock_count AS "stockCount",
           created_at AS "createdAt" FROM products WHERE sku = $1`,
        [product.sku],
      )
      expect(rows).toEqual([{ ...product, createdAt }])
    }
  })

  it('leaves alone what someone has changed, unless told to start afresh', async () => {
    const { sku, priceCents } = productAt(7)
    const priceNow = async () => (await catalog.query('SELECT price_cents FROM products WHERE sku = $1', [sku])).rows
    await catalog.query('UPDATE products SET price_cents = 1 WHERE sku = $1', [sku])
    await seed({ catalogUrl, productCount: 100 })
    expect(await priceNow()).toEqual([{ price_cents: 1 }])
    await seed({ catalogUrl, productCount: 100, isFresh: true })
    expect(await priceNow()).toEqual([{ price_cents: priceCents }])
    expect(await countOf('products')).toBe(100)
  })

  it('tells the catalog’s caches of what is new and what is gone, of nothing else, and the first time of nothing', async () => {
    const { url } = await testDatabase('catalog')
    const fresh = new pg.Pool({ connectionString: url })
    onTestFinished(() => fresh.end())
    const toldBy = async (options: { productCount: number; isFresh?: boolean }) => {
      await fresh.query('DELETE FROM outbox')
      await seed({ catalogUrl: url, ...options })
      const { rows } = await fresh.query<{ body: string; topic: string }>('SELECT topic, body FROM outbox ORDER BY id')
      expect(new Set(rows.map(({ topic }) => topic)).size).toBeLessThanOrEqual(1)
      return rows.flatMap(({ body }) => Value.Parse(ProductEvent, JSON.parse(body)).data.skus).sort()
    }
    const skus = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => productAt(from + i).sku).sort()
    expect(await toldBy({ productCount: 1_000 })).toEqual([])
    expect(await toldBy({ productCount: 1_000 })).toEqual([])
    expect(await toldBy({ productCount: 1_700 })).toEqual(skus(1_000, 1_700))
    expect(await toldBy({ productCount: 10, isFresh: true })).toEqual(skus(0, 1_700))
  })

  it('changes nothing when it fails half-way', async () => {
    const [before, toldBefore] = [await countOf('products'), await countOf('outbox')]
    await catalog.query(`ALTER TABLE products ADD CONSTRAINT no_toys CHECK (category <> 'toys') NOT VALID`)
    await expect(seed({ catalogUrl, productCount: 1_000, isFresh: true })).rejects.toThrow(/no_toys/)
    expect([await countOf('products'), await countOf('outbox')]).toEqual([before, toldBefore])
    await catalog.query('ALTER TABLE products DROP CONSTRAINT no_toys')
  })
})

describe('seeding accounts', () => {
  const account: Account = { email: 'Ada@Example.com', name: 'Ada', role: 'customer', password: 'first password' }
  const stored = async () =>
    (await users.query('SELECT id, email, name, role, password_hash FROM users ORDER BY email')).rows

  it('stores the password as a hash and the address in lower case, and keeps the id when run again', async () => {
    await seed({ catalogUrl, userUrl, productCount: 1, accounts: [account] })
    const [first] = await stored()
    expect(first).toMatchObject({ email: 'ada@example.com', name: 'Ada', role: 'customer' })
    expect(await verifyPassword('first password', first.password_hash)).toBe(true)

    const changed: Account = { ...account, name: 'Ada L.', role: 'admin', password: 'second password' }
    await seed({ catalogUrl, userUrl, productCount: 1, accounts: [changed] })
    const [second, ...others] = await stored()
    expect(others).toEqual([])
    expect(second).toMatchObject({ id: first.id, name: 'Ada L.', role: 'admin' })
    expect(await verifyPassword('second password', second.password_hash)).toBe(true)
  })
})

describe('the command line', () => {
  const run = (args: string[], env: Record<string, string> = {}) =>
    promisify(execFile)(process.execPath, [new URL('./seed.ts', import.meta.url).pathname, ...args], {
      env: { PATH: process.env.PATH, ...env },
    }).catch((error) => error as { code: number; stdout: string; stderr: string })

  it('explains itself', async () => {
    const { stdout } = await run(['--help'])
    expect(stdout).toContain('--products N')
  })

  it('seeds both databases and prints the new passwords once', async () => {
    const env = { CATALOG_DATABASE_URL: catalogUrl, USER_DATABASE_URL: userUrl }
    const { stdout } = await run(['--products', '50', '--fresh'], env)
    expect(stdout).toContain('50 of 50 products added')
    const [, password = ''] = /admin {2}admin@example.com {2}(\S+)/.exec(stdout) ?? []
    const { rows } = await users.query(`SELECT password_hash FROM users WHERE email = 'admin@example.com'`)
    expect(await verifyPassword(password, rows[0].password_hash)).toBe(true)
  })

  it.each([
    [['--products', '0'], /--products must be a whole number/],
    [['--products', '1e5'], /--products must be a whole number/],
    [['--product', '1'], /Unknown option --product\./],
    [[], /CATALOG_DATABASE_URL is missing/],
  ])('says what is wrong with %j', async (args, message) => {
    const result = await run(args)
    expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(message) })
  })

  it('says that a database has no tables yet', async () => {
    const { url } = await testDatabase()
    expect(await run([], { CATALOG_DATABASE_URL: url })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('migrate'),
    })
  })
})
