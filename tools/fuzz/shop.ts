/** The shop that is fuzzed: one that is started for it, or one that runs. */
import { randomUUID } from 'node:crypto'
import { topics } from '@shop/contracts/topics'
import { createBrowser } from '@shop/test-kit/browser'
import { startDemo } from '../stack/child.ts'
import type { Known, Role } from './requests.ts'

interface Account {
  email: string
  password: string
  role: Role
}

export interface Shop {
  url: string
  accounts: readonly Account[]
  /** @param keepsLogs what the services said is wanted */
  stop(keepsLogs?: boolean): Promise<void>
}

/** Limits that no run reaches: what is looked for is not how often one may ask. */
const limits = ['gateway:RATE_LIMIT_FILE=apps/gateway/limits/ample.yaml', 'user:SIGN_IN_LIMIT_COUNT=10000']

export async function startShop(): Promise<Shop> {
  const demo = startDemo(
    'fuzz',
    limits.flatMap((limit) => ['--env', limit]),
  )
  const { url, accounts } = await demo.opened
  return { url, accounts, stop }

  async function stop(keepsLogs = false) {
    await demo.stop()
    if (keepsLogs) process.stderr.write(`Logs of the services: ${demo.logsFolder}\n`)
    else demo.removeData()
  }
}

/** Signed in as each role, and again when a request has ended the sessions. */
export async function createVisitors({ url, accounts }: Shop) {
  const customer = await register(url)
  const credentials: Partial<Record<Role, Account>> = { customer, admin: accounts.find(({ role }) => role === 'admin') }
  const cookies = new Map<Role, Promise<string | undefined>>()
  await Promise.all([signInAgain('customer'), signInAgain('admin')])
  return { signInAgain, cookieOf: async (role: Role) => cookies.get(role) }

  /** From now on requests of this role wait for the new cookie. */
  async function signInAgain(role: Role): Promise<void> {
    const signingIn = signIn(role)
    cookies.set(role, signingIn)
    await signingIn
  }

  /** Throws when the shop refuses. */
  async function signIn(role: Role): Promise<string | undefined> {
    const account = credentials[role]
    if (!account) return undefined
    const browser = createBrowser(url)
    const { email, password } = account
    const answer = () => browser.post('/api/sessions', { email, password })
    let { status, text } = await answer()
    // Another request may end all sessions just now.
    for (let attempt = 1; status === 409 && attempt < 5; attempt += 1) ({ status, text } = await answer())
    if (status !== 201) throw new Error(`signing in as ${role} answered ${status}: ${text}`)
    return browser.cookieHeader().cookie
  }
}

async function register(url: string): Promise<Account> {
  const account = { email: `${randomUUID()}@example.com`, password: randomUUID() }
  const { status, text } = await createBrowser(url).post('/api/users', { ...account, name: 'Fuzz' })
  if (status !== 201) throw new Error(`registering answered ${status}: ${text}`)
  return { ...account, role: 'customer' }
}

/** What is there to be asked for: products, a customer's orders, topics. */
export async function findKnown({ url }: Shop, cookie: string | undefined): Promise<Known> {
  const browser = createBrowser(url)
  const headers: Record<string, string> = cookie === undefined ? {} : { cookie }
  const { body } = await browser.get<{ items: { sku: string; category: string }[] }>('/api/products?limit=20')
  const orders: string[] = []
  for (const { sku } of body.items.slice(0, 3)) {
    await browser.send('PUT', `/api/cart/items/${sku}`, { headers, body: { quantity: 1 } })
    const placed = await browser.post<{ id?: string }>(
      '/api/orders',
      { payment: { card: 'approve' } },
      { ...headers, 'idempotency-key': randomUUID() },
    )
    if (placed.body.id) orders.push(placed.body.id)
  }
  if (orders.length === 0) throw new Error('no order could be placed')
  return {
    sku: body.items.map(({ sku }) => sku),
    category: [...new Set(body.items.map(({ category }) => category))],
    id: [...orders, 'current', '0.1-1'],
    topic: Object.values(topics).map(({ service, entity }) => `${service}:${entity}`),
  }
}
