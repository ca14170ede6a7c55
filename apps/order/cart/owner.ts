/** Whose cart a request means: the signed-in customer's, or that of whoever holds the guest's cookie. */
import { createHash, randomBytes } from 'node:crypto'
import type { CartLine } from '@shop/contracts/cart'
import { cartCookieName } from '@shop/contracts/cookies'
import { createSessionCookie, type SessionCookie } from '@shop/service-kit/session-cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Carts } from './cart.ts'

const idBytes = 32
const idPattern = /^[A-Za-z0-9_-]{43}$/

export interface FoundCart {
  /** Undefined for a guest without a cart. */
  owner?: string
  /** The guest's cart of a customer who has signed in, while it holds what there is no room for in hers. */
  waiting?: { owner: string; lines: CartLine[] }
}

export function createCartOwner(carts: Carts, { ttlMs }: { ttlMs: number }) {
  const cookie = createSessionCookie({ name: cartCookieName, maxAgeMs: ttlMs })
  return { find, findOrCreate }

  /** A guest's cart becomes the customer's when she has signed in, as far as there is room in hers; the rest comes when there is. */
  async function find(request: FastifyRequest, reply: FastifyReply): Promise<FoundCart> {
    const guest = guestOwner(cookie, request)
    const { userId } = request.identity
    if (userId === undefined) return { owner: guest }
    const owner = `u-${userId}`
    if (guest === undefined) return { owner }
    const lines = await carts.merge(guest, owner)
    if (lines.length > 0) return { owner, waiting: { owner: guest, lines } }
    reply.header('set-cookie', cookie.clear(request))
    return { owner }
  }

  /** Like `find`, and a guest without a cart gets the cookie for one. */
  async function findOrCreate(request: FastifyRequest, reply: FastifyReply): Promise<FoundCart & { owner: string }> {
    const { owner, waiting } = await find(request, reply)
    if (owner !== undefined) return { owner, waiting }
    const id = randomBytes(idBytes).toString('base64url')
    reply.header('set-cookie', cookie.write(id, request))
    return { owner: ownerOf(id) }
  }
}

export type CartOwner = ReturnType<typeof createCartOwner>

function guestOwner(cookie: SessionCookie, request: FastifyRequest): string | undefined {
  const id = cookie.read(request)
  return id !== undefined && idPattern.test(id) ? ownerOf(id) : undefined
}

/** The id is the only thing that opens a guest's cart: Redis gets a digest of it. */
function ownerOf(id: string): string {
  return `g-${createHash('sha256').update(id).digest('base64url')}`
}
