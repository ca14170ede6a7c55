/** `npm run seed`: products for the catalog and a few accounts. Safe to run again: it adds what is missing. */
import type pg from 'pg'
import { parseArguments, wholeNumber } from './arguments.ts'
import { connectPostgres } from './postgres-client.ts'
import { type Account, generateAccounts, seedAccounts } from './seed/accounts.ts'
import { seedCatalog } from './seed/catalog.ts'
import { maxProducts } from './seed/catalogue.ts'

export type { Account }

export interface SeedOptions {
  /** The catalog's database, with its tables. */
  catalogUrl: string
  /** The user service's database. Without it no accounts are made. */
  userUrl?: string
  /** @default 1000 */
  productCount?: number
  /** Created, or given these names, roles and passwords. @default none */
  accounts?: readonly Account[]
  /** Remove all products and reservations first. Accounts, sessions, carts and orders stay. @default false */
  isFresh?: boolean
  /** Told a line at a time how far it is. */
  onProgress?: (line: string) => void
}

/** The same products on every machine. Rejects, with nothing changed, when a database cannot be reached or has no tables. */
export async function seed(options: SeedOptions): Promise<{ newProductCount: number }> {
  const { catalogUrl, userUrl, productCount = 1_000, accounts = [], isFresh = false, onProgress = () => {} } = options
  if (userUrl && accounts.length > 0) {
    await withClient('USER_DATABASE_URL', userUrl, (client) => seedAccounts(client, accounts))
  }
  const newProductCount = await withClient('CATALOG_DATABASE_URL', catalogUrl, (client) =>
    seedCatalog(client, { productCount, isFresh, onProgress }),
  )
  return { newProductCount }
}

async function withClient<Result>(
  source: string,
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = await connectPostgres(url, { source, applicationName: 'seed' })
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

const help = `Fill the databases with a catalogue and three accounts. Run it again at any
time: it adds what is missing.

  CATALOG_DATABASE_URL=… USER_DATABASE_URL=… npm run seed -- [options]

  --products N   size of the catalogue, up to ${maxProducts}   (default 1000)
  --fresh        remove all products, categories and reservations first
  --help         this text

A shop that runs shows it at once: its catalog is told, and drops its entries in
Redis. Accounts, carts and orders stay.

Without USER_DATABASE_URL no accounts are made. Their passwords are new each
time and printed once, unless SHOP_ACCOUNTS says who there is:
[{"email":…,"name":…,"role":"customer","password":…}].
`

/** Returns the exit code. */
async function main(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const { values } = parseArguments({
      args,
      options: {
        products: { type: 'string', default: '1000' },
        fresh: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(help)
      return 0
    }
    await run(env, wholeNumber('--products', values.products, 1, maxProducts), values.fresh)
    return 0
  } catch (error) {
    process.stderr.write(`${explain(error)}\nSee npm run seed -- --help\n`)
    return 1
  }
}

async function run(env: NodeJS.ProcessEnv, productCount: number, isFresh: boolean) {
  const { CATALOG_DATABASE_URL: catalogUrl, USER_DATABASE_URL: userUrl } = env
  if (!catalogUrl) throw new Error('CATALOG_DATABASE_URL is missing: set it to the URL of the catalog’s database.')
  const startedAtMs = performance.now()
  const accounts = userUrl ? accountsOf(env) : []
  const onProgress = (line: string) => process.stderr.write(`${line}\n`)
  const { newProductCount } = await seed({ catalogUrl, userUrl, productCount, accounts, isFresh, onProgress })
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1)
  process.stdout.write(`${newProductCount} new products of ${productCount} in ${seconds} s.\n`)
  if (env.SHOP_ACCOUNTS) return
  for (const { email, role, password } of accounts) process.stdout.write(`  ${role}  ${email}  ${password}\n`)
}

/** The given ones, or new ones. */
function accountsOf({ SHOP_ACCOUNTS }: NodeJS.ProcessEnv): Account[] {
  if (!SHOP_ACCOUNTS) return generateAccounts()
  const accounts = parsed(SHOP_ACCOUNTS)
  if (Array.isArray(accounts) && accounts.every(isAccount)) return accounts
  throw new Error(
    'SHOP_ACCOUNTS is not a list of accounts: write it like [{"email":"a@example.com","name":"A","role":"customer","password":"…"}].',
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isAccount(value: unknown): value is Account {
  const { email, name, password, role } = (value ?? {}) as Partial<Account>
  return [email, name, password].every((text) => typeof text === 'string') && (role === 'admin' || role === 'customer')
}

function explain(error: unknown): string {
  const { code, message } = error as { code?: string; message: string }
  if (code === '42P01') return `${message}: run npm run migrate first.`
  return message || `The database cannot be reached (${code ?? error}).`
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2), process.env)
