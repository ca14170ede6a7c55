/** Whose cart a request means: the signed-in customer's, or that of whoever holds the guest's cookie. */
import { createHash, randomBytes } from 'node:crypto'
import { cartCookieName } from '@shop/contracts/cookies'
import { createSessionCookie, type SessionCookie } from '@shop/service-kit/identity/session-cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Carts } from './cart.ts'

const idBytes = 32
const idPattern = /^[A-Za-z0-9_-]{43}$/

export function createCartOwner(carts: Carts, { ttlMs }: { ttlMs: number }) {
  const cookie = createSessionCookie({ name: cartCookieName, maxAgeMs: ttlMs })
  return { find, findOrCreate }

  /** Undefined for a guest without a cart. */
  async function find(request: FastifyRequest, reply: FastifyReply): Promise<string | undefined> {
    const { userId } = request.identity
    if (userId !== undefined) return ofCustomer(userId, request, reply)
    const guestId = guestIdOf(cookie, request)
    return guestId && ownerOf(guestId)
  }

  /** A guest's cart becomes the customer's when she has signed in. */
  async function ofCustomer(userId: string, request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const guestId = guestIdOf(cookie, request)
    const owner = ownerOfUser(userId)
    if (guestId !== undefined && (await carts.move(ownerOf(guestId), owner))) {
      reply.header('set-cookie', cookie.clear(request))
    }
    return owner
  }

  /** For a change: a guest gets the cookie of a new cart, or hers anew, which then lasts as long as her cart. */
  async function findOrCreate(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const { userId } = request.identity
    if (userId !== undefined) return ofCustomer(userId, request, reply)
    const id = guestIdOf(cookie, request) ?? randomBytes(idBytes).toString('base64url')
    reply.header('set-cookie', cookie.write(id, request))
    return ownerOf(id)
  }
}

export type CartOwner = ReturnType<typeof createCartOwner>

export function ownerOfUser(userId: string): string {
  return `u-${userId}`
}

function guestIdOf(cookie: SessionCookie, request: FastifyRequest): string | undefined {
  const id = cookie.read(request)
  return id !== undefined && idPattern.test(id) ? id : undefined
}

/** The id is the only thing that opens a guest's cart: Redis gets a digest of it. */
function ownerOf(id: string): string {
  return `g-${createHash('sha256').update(id).digest('base64url')}`
}
