/**
 * Password hashes: argon2id (RFC 9106) at OWASP's minimum of 19 MiB and two passes, computed by Node on libuv's thread pool, so
 * that the event loop goes on. Stored as a PHC string, which names its own parameters: they can be raised later without locking anyone out.
 */
import { type Argon2Parameters, argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'
import { createBulkhead } from '@shop/redis-kit/flow/bulkhead'
import { defineErrors } from '../http/errors.ts'

const errors = defineErrors({
  overloaded: ['unavailable', 'sign-in-overloaded', 'Too many sign-ins are in progress; try again'],
})

const deriveNow = promisify(argon2) as (algorithm: 'argon2id', parameters: Argon2Parameters) => Promise<Buffer>

/** At most one per core and never all of the pool's four threads: sign-ins may queue, everything else goes on. */
const derivations = createBulkhead({
  maxRunningCount: Math.min(availableParallelism(), 3),
  maxQueuedCount: 200,
  refusal: () => errors.overloaded({ retryAfterMs: 1_000 }),
})

/** Throws `sign-in-overloaded` (503) when too many wait already. */
function derive(algorithm: 'argon2id', parameters: Argon2Parameters): Promise<Buffer> {
  return derivations.run(() => deriveNow(algorithm, parameters))
}

const cost = { memory: 19_456, passes: 2, parallelism: 1 }
const saltBytes = 16
const hashBytes = 32

/** What a stored hash may ask for at most: a row that someone tampered with must not take the server's memory. */
const limits = { memory: 262_144, passes: 10, parallelism: 4 }

const phc =
  /^\$argon2id\$v=19\$m=(?<memory>\d{1,7}),t=(?<passes>\d{1,3}),p=(?<parallelism>\d{1,3})\$(?<salt>[A-Za-z0-9+/]{11,86})\$(?<hash>[A-Za-z0-9+/]{22,86})$/

/** A new hash each time, `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`; takes some 30 ms of one core. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes)
  const hash = await derive('argon2id', { message: normal(password), nonce: salt, tagLength: hashBytes, ...cost })
  return `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}$${base64(salt)}$${base64(hash)}`
}

/**
 * Whether the password is the one that was hashed. A hash that cannot be read is answered with false, never with an exception.
 * Without a hash (no such account) the same work is done and the answer is false: the time does not tell who has an account.
 */
export async function verifyPassword(password: string, storedHash: string | undefined): Promise<boolean> {
  const stored = parse(storedHash ?? decoy)
  if (!stored) return false
  const { hash, salt, ...storedCost } = stored
  const derived = await derive('argon2id', {
    message: normal(password),
    nonce: salt,
    tagLength: hash.length,
    ...storedCost,
  })
  return timingSafeEqual(derived, hash) && storedHash !== undefined
}

/** Whether the hash was made with today's parameters; if not, hash the password anew at the next sign-in. */
export function isCurrentHash(storedHash: string): boolean {
  const stored = parse(storedHash)
  return (
    stored !== undefined &&
    stored.memory === cost.memory &&
    stored.passes === cost.passes &&
    stored.parallelism === cost.parallelism
  )
}

const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')

/** The same text typed on another keyboard is the same password (NIST SP 800-63B 3.1.1.2). */
const normal = (password: string) => Buffer.from(password.normalize('NFKC'))

/** Nobody's hash, for accounts that do not exist. */
const decoy = `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}$${base64(randomBytes(saltBytes))}$${base64(randomBytes(hashBytes))}`

function parse(text: string) {
  const parts = phc.exec(text)?.groups
  if (!parts) return undefined
  const memory = Number(parts.memory)
  const passes = Number(parts.passes)
  const parallelism = Number(parts.parallelism)
  const isSane =
    passes >= 1 &&
    passes <= limits.passes &&
    parallelism >= 1 &&
    parallelism <= limits.parallelism &&
    memory >= 8 * parallelism &&
    memory <= limits.memory
  if (!isSane) return undefined
  const bytes = (name: 'salt' | 'hash') => Buffer.from(parts[name] ?? '', 'base64')
  return { memory, passes, parallelism, salt: bytes('salt'), hash: bytes('hash') }
}
