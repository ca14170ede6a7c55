/**
 * The same request twice is one effect and two equal answers. A client names its request by a key of its own choice and may
 * send it as often as it likes: one caller is let through, the others hear that it is in progress, and later what the answer was.
 *
 * One hash per request; its owner is whoever holds the lease. This is the fast path. What must never happen twice needs a
 * unique row in the database as well, in the transaction of the effect: Redis may be lost, and a lease may run out.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Redis } from '../connection/connection.ts'
import { type KeyFamily, keyFamily } from '../keys.ts'
import { checkNumbers } from '../number-options.ts'
import { script } from '../script.ts'

export { BodyTooDeep, fingerprint } from './fingerprint.ts'

const DAY_MS = 24 * 60 * 60 * 1000

export interface IdempotencyKeyOptions {
  /** No record lives longer, whatever `ttlMs` says. @default a day */
  longestMs?: number
}

/** `order:idempotency:checkout:<tenant>:<request>`, one hash per request. */
export function idempotencyKeys(
  service: string,
  name: string,
  { longestMs = DAY_MS }: IdempotencyKeyOptions = {},
): KeyFamily {
  return keyFamily({
    service,
    pattern: `${service}:idempotency:${name}:<tenant>:<request>`,
    type: 'hash',
    role: 'state',
    ttl: { ms: longestMs },
    example: ['u-1', 'x0Xq3oWn7J8kq8b1N9G1b6m1c6t0Yz2vYk3V0r4l5uE'],
    hidden: 'personal data: the whole answer to the request of one person',
    doc: 'the owner of a request in progress, or the answer to a finished one; under the hash of its route and key',
  })
}

export interface IdempotencyOptions {
  keys: KeyFamily
  /** How long an answer is repeated. Clients have to give up before. @default a day */
  ttlMs?: number
  /**
   * How long a claim is believed without a sign of life: as long as others have to wait when its process dies. Work that
   * takes longer has to `renew`. @default 10_000
   */
  leaseMs?: number
  /** The longest that who comes second is told to wait; the answer may be there sooner than the lease ends. @default 1000 */
  maxRetryAfterMs?: number
  /** Headers that are part of the answer; all others belong to the moment. @default content-type, location, etag */
  headers?: readonly string[]
  /** The largest answer, body and headers. @default 65_536 */
  maxResponseBytes?: number
  /**
   * What `begin` does with a record that is damaged or foreign: nothing in it says whether the work was done. 'refuse' throws
   * RecordDamaged until the record expires. 'start' forgets it, for work whose effect the database admits once.
   * @default 'refuse'
   */
  onDamaged?: 'refuse' | 'start'
}

export interface RequestName {
  /** Whose key it is: the user or account. Two tenants may choose the same key and never see each other's answers. */
  tenant: string
  /** `POST /api/orders`: a key means another request on another route. */
  route: string
  /** As the client chose it. */
  key: string
}

export interface StoredResponse {
  status: number
  headers: Record<string, string | string[]>
  body: Buffer
}

export interface Response {
  status: number
  /** Only the listed ones are kept. */
  headers?: Readonly<Record<string, string | number | readonly string[] | undefined>>
  body?: string | Uint8Array
}

/** The right and the duty to do it. False from any of these: it is no longer ours, another process has taken over. */
export interface Claim {
  status: 'started'
  owner: string
  /** Another `leaseMs`, for work that takes long. */
  renew(): Promise<boolean>
  /** Keeps the answer: from now on it is repeated. Throws ResponseTooLarge. */
  complete(response: Response): Promise<boolean>
  /** Nothing was done, and nothing will be: whoever comes next may begin. When in doubt, let the lease run out instead. */
  release(): Promise<boolean>
}

export type Begun =
  | Claim
  | { status: 'replay'; response: StoredResponse }
  | { status: 'in-progress'; retryAfterMs: number }
  /** The key was used for something else. */
  | { status: 'mismatch' }

export interface Idempotency {
  readonly leaseMs: number
  /**
   * To be asked before anything is done. Rejects while Redis is away, see errors.ts: then nothing may be done either where a
   * second time would cost money. Rejects with RecordDamaged, see `onDamaged`.
   */
  begin(request: RequestName & { fingerprint: string }): Promise<Begun>
}

export class ResponseTooLarge extends Error {
  readonly code = 'IDEMPOTENCY_RESPONSE_TOO_LARGE'
  override readonly name = 'ResponseTooLarge'
}

/** Whether the request was done cannot be read from its record. It must not be done again on the word of Redis alone. */
export class RecordDamaged extends Error {
  readonly code = 'IDEMPOTENCY_RECORD_DAMAGED'
  override readonly name = 'RecordDamaged'
}

type BeginReply =
  | [outcome: 0]
  | [outcome: 1, leftMs: number]
  | [outcome: 2]
  | [3, number, Buffer, Buffer]
  | [outcome: 4]

// Each knows its owner, so that each may be sent again when its answer is lost.
const options = { effect: 'idempotent' } as const
const beginScript = script<BeginReply>(new URL('./begin.lua', import.meta.url), { ...options, binary: true })
const renewScript = script<0 | 1>(new URL('./renew.lua', import.meta.url), options)
const completeScript = script<0 | 1>(new URL('./complete.lua', import.meta.url), options)
const releaseScript = script<0 | 1>(new URL('./release.lua', import.meta.url), options)

/** These belong to one moment or one client: repeated to another they are wrong, or let somebody in. */
const NEVER_STORED = ['set-cookie', 'date', 'connection', 'transfer-encoding', 'content-length', 'x-request-id']

/** Throws RangeError for times that do not fit each other, TypeError for a header that must not be stored. */
export function createIdempotency(redis: Redis, config: IdempotencyOptions): Idempotency {
  const { keys, ttlMs = DAY_MS, leaseMs = 10_000, maxRetryAfterMs = 1_000 } = config
  const { headers: listed = ['content-type', 'location', 'etag'], maxResponseBytes = 65_536 } = config
  const { onDamaged = 'refuse' } = config
  checkNumbers(`idempotency ${keys.pattern}`, config, {
    ttlMs: { min: 1, isWhole: true },
    leaseMs: { min: 1 },
    maxRetryAfterMs: { min: 1 },
    maxResponseBytes: { min: 1, isWhole: true },
  })
  requireTimes(keys, ttlMs, leaseMs)
  const isKept = allowList(listed)

  async function begin({ fingerprint, ...name }: RequestName & { fingerprint: string }): Promise<Begun> {
    const key = keyOf(keys, name)
    const owner = randomUUID()
    const reply = await beginScript(redis, [key], [fingerprint, owner, leaseMs, ttlMs, onDamaged === 'start' ? 1 : 0])
    if (reply[0] === 0) return claimOf(key, owner)
    if (reply[0] === 1) return { status: 'in-progress', retryAfterMs: Math.min(reply[1], maxRetryAfterMs) }
    if (reply[0] === 2) return { status: 'mismatch' }
    if (reply[0] === 4) throw new RecordDamaged(`a record of ${keys.pattern} is damaged or foreign`)
    const [, status, headers, body] = reply
    return { status: 'replay', response: { status, headers: JSON.parse(headers.toString()), body } }
  }
  function claimOf(key: string, owner: string): Claim {
    return {
      status: 'started',
      owner,
      renew: async () => (await renewScript(redis, [key], [owner, leaseMs, ttlMs])) === 1,
      complete: async (response) => (await completeScript(redis, [key], [owner, ...stored(response), ttlMs])) === 1,
      release: async () => (await releaseScript(redis, [key], [owner])) === 1,
    }
  }
  function stored({ status, headers = {}, body = '' }: Response): [number, string, Buffer] {
    const kept = Object.entries(headers).filter(([name, value]) => value !== undefined && isKept(name))
    const text = JSON.stringify(Object.fromEntries(kept.map(([name, value]) => [name.toLowerCase(), textOf(value)])))
    const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.length)
    const sizeBytes = bytes.length + Buffer.byteLength(text)
    if (sizeBytes <= maxResponseBytes) return [status, text, bytes]
    throw new ResponseTooLarge(`the answer has ${sizeBytes} bytes, but ${keys.pattern} keeps up to ${maxResponseBytes}`)
  }

  return { leaseMs, begin }
}

/** Hashed: a key of any length and content is 43 characters, and none can pretend to be another route's. */
function keyOf(keys: KeyFamily, { tenant, route, key }: RequestName): string {
  const request = createHash('sha256')
    .update(JSON.stringify([route, key]))
    .digest('base64url')
  return keys.key(tenant, request)
}

function allowList(listed: readonly string[]): (name: string) => boolean {
  const names = new Set(listed.map((name) => name.toLowerCase()))
  const forbidden = NEVER_STORED.find((name) => names.has(name))
  if (forbidden) throw new TypeError(`${forbidden} must not be replayed: it belongs to one response`)
  return (name) => names.has(name.toLowerCase())
}

const textOf = (value: string | number | readonly string[] | undefined) =>
  Array.isArray(value) ? value : String(value)

function requireTimes(keys: KeyFamily, ttlMs: number, leaseMs: number): void {
  const longestMs = 'ms' in keys.ttl ? keys.ttl.ms : Number.NaN
  if (leaseMs > 0 && leaseMs <= ttlMs && ttlMs <= longestMs) return
  throw new RangeError(
    `0 < leaseMs <= ttlMs <= ${longestMs} must hold, but leaseMs is ${leaseMs} and ttlMs is ${ttlMs}`,
  )
}
