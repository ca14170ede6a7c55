/** Whose cart a request means: the signed-in customer's, or that of whoever holds the guest's cookie. */
import { createHash, randomBytes } from 'node:crypto'
import { createSessionCookie, type SessionCookie } from '@shop/service-kit/session-cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Carts } from './cart.ts'

const idBytes = 32
const idPattern = /^[A-Za-z0-9_-]{43}$/

export function createCartOwner(carts: Carts, options: { publicUrl: string; ttlMs: number }) {
  const cookie = createSessionCookie({ publicUrl: options.publicUrl, maxAgeMs: options.ttlMs, name: 'shop_cart' })
  return { find, findOrCreate }

  /** The owner; undefined for a guest without a cart. A guest's cart becomes the customer's when she has signed in. */
  async function find(request: FastifyRequest, reply: FastifyReply): Promise<string | undefined> {
    const guest = guestOwner(cookie, request)
    const { userId } = request.identity
    if (userId === undefined) return guest
    const owner = `u-${userId}`
    if (guest === undefined) return owner
    await carts.merge(guest, owner)
    reply.header('set-cookie', cookie.clear())
    return owner
  }

  /** Like `find`, and a guest without a cart gets the cookie for one. */
  async function findOrCreate(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const owner = await find(request, reply)
    if (owner !== undefined) return owner
    const id = randomBytes(idBytes).toString('base64url')
    reply.header('set-cookie', cookie.write(id))
    return ownerOf(id)
  }
}

export type CartOwner = ReturnType<typeof createCartOwner>

function guestOwner(cookie: SessionCookie, request: FastifyRequest): string | undefined {
  const id = cookie.read(request.headers.cookie)
  return id !== undefined && idPattern.test(id) ? ownerOf(id) : undefined
}

/** The id is the only thing that opens a guest's cart: Redis gets a digest of it. */
function ownerOf(id: string): string {
  return `g-${createHash('sha256').update(id).digest('base64url')}`
}
