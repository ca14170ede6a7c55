/** What the import asks of the shop, by its public API: to sign in, to take a file, to sign out. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { type Readable, Transform } from 'node:stream'
import type { Problem } from '@shop/contracts/problem'
import type { ImportReport } from '@shop/contracts/product'

/** Nothing in either direction for so long: the shop is gone. */
const silenceMs = 120_000

export interface Upload {
  cookie: string
  contentType: string
  file: Readable
  /** Bytes, when that is known. */
  size?: number
  /** Called with every piece that is sent. */
  onPiece(piece: Buffer): void
}

/** Rejects with a sentence that says what to do. */
export async function signIn(url: string, email: string, password: string): Promise<{ cookie: string }> {
  const response = await fetch(`${url}/api/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password }),
    signal: AbortSignal.timeout(silenceMs),
  }).catch((error) => {
    throw new Error(`Nothing answers at ${url}: start the shop (npm run demo), or say where it is with --url.`, {
      cause: error,
    })
  })
  if (response.status !== 201) {
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>
    throw new Error(whyNotSignedIn(response.status, email, problem))
  }
  const cookie = response.headers.getSetCookie().map((line) => line.split(';', 1)[0])
  return { cookie: cookie.join('; ') }
}

/** Leaves no session behind. That this fails is nobody's concern: it expires. */
export async function signOut(url: string, cookie: string): Promise<void> {
  const answer = fetch(`${url}/api/sessions/current`, {
    method: 'DELETE',
    headers: { cookie },
    signal: AbortSignal.timeout(5_000),
  })
  await answer.catch(() => {})
}

/**
 * By node:http and not by fetch, which gives up on an answer that takes five minutes, however busily the file is being sent. An answer may
 * come before the end of the file: then the rest is not sent.
 */
export async function upload(url: string, { cookie, contentType, file, size, onPiece }: Upload): Promise<ImportReport> {
  const request = (url.startsWith('https:') ? requestHttps : requestHttp)(`${url}/api/products/import`, {
    method: 'POST',
    headers: { cookie, 'content-type': contentType, ...(size !== undefined && { 'content-length': size }) },
    timeout: silenceMs,
  })
  request.once('timeout', () => request.destroy(new Error('the shop has fallen silent')))
  const count = new Transform({
    transform(piece: Buffer, _encoding, done) {
      onPiece(piece)
      done(null, piece)
    },
  })
  const answer = Promise.withResolvers<{ status: number; text: string }>()
  const broken = () => answer.reject(new Error('the connection was closed'))
  request.once('close', broken).on('error', answer.reject)
  request.once('response', (response) => {
    request.off('close', broken)
    const status = response.statusCode ?? 0
    const whole = (pieces: Buffer[]) => answer.resolve({ status, text: Buffer.concat(pieces).toString() })
    response.toArray().then(whole, answer.reject)
  })
  file.on('error', (error) => request.destroy(error))
  // Not by `pipeline`, which would end the request, and with it an answer on its way, when the shop stops reading.
  file.pipe(count).pipe(request)
  try {
    const { status, text } = await answer.promise
    if (status !== 200) throw new Error(whyNotTaken(status, text))
    return JSON.parse(text) as ImportReport
  } finally {
    file.destroy()
  }
}

function whyNotSignedIn(status: number, email: string, { detail }: Partial<Problem>): string {
  if (status === 401) return `The shop does not know ${email} with this password: see SHOP_ADMIN_PASSWORD and --email.`
  if (status === 429) return `Too many attempts to sign in as ${email}: wait some minutes.`
  return `Signing in as ${email} was answered by ${status}. ${detail ?? ''}`.trim()
}

function whyNotTaken(status: number, text: string): string {
  if (status === 403) return 'This account is no administrator: name one with --email.'
  let detail = ''
  try {
    detail = (JSON.parse(text) as Partial<Problem>).detail ?? ''
  } catch {
    // Something in between has answered, and not the shop.
  }
  return `The shop has refused the file (${status}). ${detail}`.trim()
}
