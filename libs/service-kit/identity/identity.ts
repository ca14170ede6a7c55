/**
 * Who a request is from. The gateway alone knows sessions; to the services it vouches in a header with a short-lived token that it
 * signs (JWT, EdDSA with Ed25519). Services hold only the public key: one that is broken into can be believed by none of the others.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { Identity } from '@shop/contracts/identity'
import { identityHeader } from '@shop/contracts/identity'
import { createSigner, createVerifier } from 'fast-jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { defineErrors } from '../http/errors.ts'

export type { Identity }
export { identityHeader }

/** A user that is signed in. */
export type SignedIn = Identity & { userId: string; role: 'customer' | 'admin' }

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on every route that is not public. */
    identity: Identity
  }
  interface FastifyContextConfig {
    /** Needs no identity: health, documentation. */
    public?: boolean
  }
}

export const identityErrors = defineErrors({
  missing: ['unauthenticated', 'identity-missing', 'Send requests through the gateway'],
  invalid: ['unauthenticated', 'identity-invalid', 'The identity token is not valid or has expired'],
  signInRequired: ['unauthenticated', 'sign-in-required', 'Sign in first'],
  adminOnly: ['forbidden', 'admin-only', 'Only administrators may use this route'],
})

const issuer = 'gateway'
/** Longer is a risk when a session is revoked; shorter fails with clocks that are not quite right. */
const lifeMs = 30_000
const clockToleranceMs = 5_000

export interface MintOptions {
  /** A token is handed out again for this long, so that a busy session costs one signature per period. @default 10_000 */
  reuseMs?: number
  /** @default 10_000 */
  maxCached?: number
}

/** The gateway's side: claims in, header value out. `privateKey` is the base64 of a PKCS8 PEM. */
export function createIdentityMinter(privateKey: string, { reuseMs = 10_000, maxCached = 10_000 }: MintOptions = {}) {
  const key = ed25519Pem(privateKey, createPrivateKey)
  const sign = createSigner({ algorithm: 'EdDSA', key, expiresIn: lifeMs, iss: issuer })
  const recent = new Map<string, { token: string; mintedAtMs: number }>()

  return function mintIdentity({ role, userId, session }: Identity): string {
    const who = `${role} ${userId ?? ''} ${session ?? ''}`
    const nowMs = Date.now()
    const known = recent.get(who)
    if (known !== undefined && nowMs - known.mintedAtMs < reuseMs) return known.token
    const token = sign({ role, ...(userId && { sub: userId }), ...(session && { sid: session }) })
    // A Map keeps the order of insertion: the first is the oldest.
    recent.delete(who)
    recent.set(who, { token, mintedAtMs: nowMs })
    if (recent.size > maxCached) recent.delete(recent.keys().next().value as string)
    return token
  }
}

export type IdentityVerifier = (token: string | string[] | undefined) => Identity

/**
 * The services' side: header value in, identity out; throws 401 `identity-missing` or `identity-invalid`. `publicKey` is the base64 of an
 * SPKI PEM. A token that was verified is remembered until it expires, by its whole text: a busy session costs one verification per token.
 */
export function createIdentityVerifier(
  publicKey: string,
  { maxCached = 5_000 }: { maxCached?: number } = {},
): IdentityVerifier {
  const key = ed25519Pem(publicKey, createPublicKey)
  const verifyToken = createVerifier({
    key,
    algorithms: ['EdDSA'],
    allowedIss: issuer,
    requiredClaims: ['iss', 'iat', 'exp', 'role'],
    clockTolerance: clockToleranceMs,
  })
  const verified = new Map<string, { identity: Identity; untilMs: number }>()

  return function verifyIdentity(token) {
    if (token === undefined || token === '') throw identityErrors.missing()
    if (typeof token !== 'string') throw identityErrors.invalid()
    const known = verified.get(token)
    if (known !== undefined && Date.now() <= known.untilMs) return known.identity
    let claims: Claims
    try {
      claims = verifyToken(token) as Claims
    } catch (cause) {
      verified.delete(token)
      throw identityErrors.invalid({ cause })
    }
    const identity = Object.freeze(identityOf(claims))
    verified.set(token, { identity, untilMs: claims.exp * 1_000 + clockToleranceMs })
    if (verified.size > maxCached) verified.delete(verified.keys().next().value as string)
    return identity
  }
}

interface Claims {
  exp: number
  role: unknown
  sub?: unknown
  sid?: unknown
}

function identityOf({ role, sub, sid }: Claims): Identity {
  if (role !== 'guest' && role !== 'customer' && role !== 'admin') throw identityErrors.invalid()
  if (role !== 'guest' && typeof sub !== 'string') throw identityErrors.invalid()
  return { role, ...(typeof sub === 'string' && { userId: sub }), ...(typeof sid === 'string' && { session: sid }) }
}

/** Every route that is not `config.public` is answered only with a valid identity, before its body is read. */
export function requireIdentity(server: FastifyInstance, verify: IdentityVerifier): void {
  server.addHook('onRequest', (request, _reply, done) => {
    if (request.is404 || request.routeOptions.config.public) return done()
    try {
      request.identity = verify(request.headers[identityHeader])
      done()
    } catch (error) {
      done(error as Error)
    }
  })
}

/** The signed-in user, or 401 `sign-in-required`. */
export function requireUser(request: FastifyRequest): SignedIn {
  const { identity } = request
  if (identity === null || identity.role === 'guest' || identity.userId === undefined)
    throw identityErrors.signInRequired()
  return identity as SignedIn
}

/** The signed-in administrator, or 401 `sign-in-required`, or 403 `admin-only`. */
export function requireAdmin(request: FastifyRequest): SignedIn {
  const user = requireUser(request)
  if (user.role !== 'admin') throw identityErrors.adminOnly()
  return user
}

/** A fresh pair for a demo or a test, as the two environment variables expect it. */
export function generateIdentityKeys(): { IDENTITY_PRIVATE_KEY: string; IDENTITY_PUBLIC_KEY: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const base64 = (pem: string) => Buffer.from(pem).toString('base64')
  return { IDENTITY_PRIVATE_KEY: base64(privateKey), IDENTITY_PUBLIC_KEY: base64(publicKey) }
}

/** Throws at once when the key is none or of another kind: a service that can vouch for nobody, or verify nobody, should not start. */
function ed25519Pem(base64: string, parse: (pem: string) => KeyObject): string {
  const pem = Buffer.from(base64, 'base64').toString('utf8')
  let type: string | undefined
  try {
    type = parse(pem).asymmetricKeyType
  } catch {
    // The reason is left out: it may quote the key.
  }
  if (type !== 'ed25519') throw new TypeError('the identity key must be the base64 of an Ed25519 PEM')
  return pem
}
