/**
 * The id of a session is a secret of 256 random bits that only its cookie knows; Redis, logs and other services know its
 * handle, the id's SHA-256. A dump of Redis opens no session.
 *
 * In front of the secret the id carries its user's tag, 48 bits of the user id's hash. The tag is the hash tag of all keys
 * of that user, so that a session, the user's list of sessions and the user's epoch share a slot, and one script can look at
 * them together with nothing but a cookie in hand. It is no secret and grants nothing.
 */
import { hash, randomBytes } from 'node:crypto'

const TAG_LENGTH = 8
const ID_FORM = /^[\w-]{51}$/
const HANDLE_FORM = /^[\w-]{43}$/

/** Two users share a tag about once in 10^14 pairs; a revoke-all of the one then signs out the other too. */
export function tagOfUser(userId: string): string {
  return hash('sha256', userId, 'base64url').slice(0, TAG_LENGTH)
}

export function tagOfId(id: string): string {
  return id.slice(0, TAG_LENGTH)
}

export function mintId(userId: string): string {
  return tagOfUser(userId) + randomBytes(32).toString('base64url')
}

export function handleOf(id: string): string {
  return hash('sha256', id, 'base64url')
}

/** Could this have been minted here? What cannot is not worth a round trip, and never becomes part of a key. */
export function isSessionId(text: unknown): text is string {
  return typeof text === 'string' && ID_FORM.test(text)
}

export function isHandle(text: unknown): text is string {
  return typeof text === 'string' && HANDLE_FORM.test(text)
}
