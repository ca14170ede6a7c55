/**
 * A tool as an administrator: it signs in at the shop's door like anybody else, so it needs no way around the gateway, works with the
 * demo and the containers alike, and can do nothing that the console could not.
 *
 *     const admin = await signInAtTerminal({ url: 'http://localhost:8080', email: defaultAdminEmail, env: process.env })
 *     try { const answer = await admin.request('/api/console/streams') } finally { await admin.signOut() }
 */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import type { Problem } from '@shop/contracts/problem'
import type { Credentials, SignedIn } from '@shop/contracts/user'

export interface AdminSession {
  /** The shop's URL, without a slash at its end. */
  url: string
  /** The value of the `cookie` header, for whoever needs more than fetch can do. */
  cookie: string
  /** `fetch` of a path of the shop as this administrator. Any status is an answer; rejects with a sentence when there was none. */
  request(path: string, init?: RequestInit): Promise<Response>
  /** Ends the session on the server. Never rejects: what cannot be ended now ends by itself. */
  signOut(): Promise<void>
}

export interface SignInOptions extends Credentials {
  url: string
}

export interface TerminalOptions {
  url: string
  email: string
  /** SHOP_ADMIN_PASSWORD is taken from it. */
  env: NodeJS.ProcessEnv
}

/** The administrator of the demo and of the containers. */
export const defaultAdminEmail = 'admin@example.com'
const answerTimeoutMs = 15_000

/** Asks for the password at the terminal unless SHOP_ADMIN_PASSWORD is set, and only when the shop answers. */
export async function signInAtTerminal({ url, email, env }: TerminalOptions): Promise<AdminSession> {
  await reach(originOf(url), '/health/live', { signal: AbortSignal.timeout(answerTimeoutMs) })
  const password = env.SHOP_ADMIN_PASSWORD || (await askForPassword(email))
  return signInAsAdmin({ url, email, password })
}

/** Rejects with a sentence for the person at the terminal. */
export async function signInAsAdmin({ url, email, password }: SignInOptions): Promise<AdminSession> {
  const shop = originOf(url)
  const answer = await reach(shop, '/api/sessions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
    signal: AbortSignal.timeout(answerTimeoutMs),
  })
  if (answer.status !== 201) throw new Error(`${shop} refuses the sign-in of ${email}: ${await reasonOf(answer)}`)
  const cookie = answer.headers
    .getSetCookie()
    .map((one) => one.split(';', 1)[0])
    .join('; ')
  const { user } = (await answer.json()) as SignedIn
  const session: AdminSession = { url: shop, cookie, request, signOut }
  if (user.role === 'admin') return session
  await signOut()
  throw new Error(`${email} is not an administrator of ${shop}.`)

  function request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('cookie', cookie)
    return reach(shop, path, { ...init, headers })
  }

  async function signOut(): Promise<void> {
    const signal = AbortSignal.timeout(answerTimeoutMs)
    await request('/api/sessions/current', { method: 'DELETE', signal }).catch(() => undefined)
  }
}

/** What a refusal says, in one line: the detail of its problem+json and its code. */
export async function reasonOf(answer: Response): Promise<string> {
  const text = await answer.text()
  try {
    const { detail, title, code } = JSON.parse(text) as Problem
    return `${detail ?? title} (${code})`
  } catch {
    return `status ${answer.status}`
  }
}

function originOf(url: string): string {
  const parsed = URL.parse(url)
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:')
    throw new Error(`"${url}" is not the URL of a shop.`)
  return parsed.origin
}

async function reach(shop: string, path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(shop + path, init)
  } catch (error) {
    if ((error as Error).name === 'TimeoutError')
      throw new Error(`${shop} does not answer in time: check that the shop runs there.`, { cause: error })
    const { cause } = error as { cause?: { code?: string; message?: string } }
    const reason = cause?.message === 'bad port' ? 'fetch refuses this port' : (cause?.code ?? cause?.message ?? error)
    throw new Error(`${shop} cannot be reached (${reason}): name the shop's address with --url or SHOP_URL.`, {
      cause: error,
    })
  }
}

/**
 * Asks on standard error, so that the output of a tool can still be piped. The terminal stops to show keys before the question
 * appears.
 */
async function askForPassword(email: string): Promise<string> {
  if (!process.stdin.isTTY)
    throw new Error('SHOP_ADMIN_PASSWORD is missing, and without a terminal it cannot be asked for: set it.')
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output, terminal: true })
  const interrupted = new AbortController()
  terminal.once('SIGINT', () => interrupted.abort())
  try {
    process.stderr.write(`Password of ${email}: `)
    return await terminal.question('', { signal: interrupted.signal })
  } catch (error) {
    throw new Error('No password was given.', { cause: error })
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
