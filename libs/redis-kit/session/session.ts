/**
 * Who is signed in. A session is a hash that every process reads in one round trip. It ends by itself after a time without
 * use and at the latest at a fixed moment, and it can be ended for good: by its holder, from another device, or together
 * with all others of its user.
 */
import type { Redis } from '../connection/connection.ts'
import { checkNumbers } from '../number-options.ts'
import type { FieldChanges, FieldCipher, Session, SessionSummary } from './record.ts'
import { handleOf, isHandle, isSessionId, tagOfId, tagOfUser } from './session-id.ts'
import type { SessionKeys } from './session-keys.ts'
import { begin, type CreatedSession, destroy, read, rotate, type SessionNames, type Store, save } from './store.ts'
import { epochOf, list, revokeAll, trim } from './user-sessions.ts'

export type { FieldChanges, FieldCipher, Session, SessionSummary } from './record.ts'
export { handleOf, isHandle, isSessionId } from './session-id.ts'
export { type SessionKeyOptions, type SessionKeys, sessionKeys } from './session-keys.ts'
export type { CreatedSession, SessionNames } from './store.ts'

export interface SessionReaderOptions {
  keys: SessionKeys
  /** Seals fields and devices, see encryption.ts. @default none: they are stored as they are */
  encryption?: FieldCipher
  /** Told of a session that was refused because its user is another, or one of its fields could not be opened. */
  onUnreadable?: (handle: string) => void
}

/** The lifetimes are written into each new session: every process that uses it keeps to them, and later changes are for new sessions. */
export interface SessionOptions extends SessionReaderOptions {
  /** A session ends when it has not been used for so long. A use may go unnoticed until a tenth of it has passed. */
  idleMs: number
  /** A session ends at this age, used or not. */
  absoluteMs: number
  /** The most sessions a user has at a time; one more ends the oldest. @default 100 */
  maxPerUser?: number
}

export interface NewSession {
  userId: string
  fields: Readonly<Record<string, string>>
  /** How its user will recognise it in a list. */
  device?: string
  /** The id that the client came with. It is dead before the new one is born, so a planted id gains nothing. */
  replaces?: string
  /** What `epoch` said before the password was checked: when sessions were revoked meanwhile, this one is refused. */
  epoch?: string
}

/** The user's sessions were revoked while this one was being created: the sign-in has to start again. */
export class SessionRevoked extends Error {
  override readonly name = 'SessionRevoked'
  readonly code = 'SESSION_REVOKED'
}

export interface SessionReader {
  /** Undefined for everything but the id of a living session. What has not the form of an id is not even looked up. */
  load(id: string | undefined): Promise<Session | undefined>
}

export interface Sessions extends SessionReader {
  /** Throws SessionRevoked, see `NewSession.epoch`. */
  create(session: NewSession): Promise<CreatedSession>
  /** Sets and removes single fields: writers of different fields do not undo each other. False when it has ended. */
  save(id: string, changes: FieldChanges): Promise<boolean>
  /** A new id for the same session, when its holder gains a privilege. The old one is dead at once. Undefined when it has ended. */
  rotate(id: string, changes?: FieldChanges): Promise<SessionNames | undefined>
  /** Final: no request that is still on its way brings it back. */
  destroy(id: string | undefined): Promise<boolean>
  /** False when this user has no such session. */
  destroyByHandle(userId: string, handle: string): Promise<boolean>
  /** Ends all sessions of a user, but for one if given. Once it resolves, no process accepts any of them. */
  revokeAll(userId: string, options?: { except?: string }): Promise<void>
  /** The living sessions of a user, oldest first. */
  list(userId: string): Promise<SessionSummary[]>
  /** For `NewSession.epoch`. */
  epoch(userId: string): Promise<string>
}

/** For a process that recognises sessions and creates none. `load` rejects while Redis is away, see errors.ts. */
export function createSessionReader(redis: Redis, options: SessionReaderOptions): SessionReader {
  const reading = { ...options, redis }
  return { load: async (id) => (await read(reading, id))?.session }
}

/** While Redis is away all of these reject, see errors.ts: the caller must not take that for "signed out". */
export function createSessions(redis: Redis, options: SessionOptions): Sessions {
  const store: Store = { maxPerUser: 100, ...options, longestMs: longestOf(options), redis }

  async function create({ replaces, device = '', epoch = '', ...session }: NewSession): Promise<CreatedSession> {
    await end(replaces)
    const begun = await begin(store, { ...session, device, epoch })
    if (!begun) throw new SessionRevoked('the sessions of this user were revoked during the sign-in')
    if (begun.sessionCount > store.maxPerUser) await trim(store, session.userId)
    return begun.created
  }
  async function end(id: string | undefined): Promise<boolean> {
    return isSessionId(id) && (await destroy(store, { tag: tagOfId(id), handle: handleOf(id) }))
  }
  async function destroyByHandle(userId: string, handle: string): Promise<boolean> {
    return isHandle(handle) && (await destroy(store, { tag: tagOfUser(userId), handle, owner: userId }))
  }

  return {
    create,
    load: async (id) => (await read(store, id))?.session,
    save: (id, changes) => save(store, id, changes),
    rotate: (id, changes = {}) => rotate(store, id, changes),
    destroy: end,
    destroyByHandle,
    revokeAll: (userId, { except } = {}) => revokeAll(store, userId, except),
    list: (userId) => list(store, userId),
    epoch: (userId) => epochOf(store, userId),
  }
}

/** Throws RangeError unless 0 < idle <= absolute <= what the key family declares. */
function longestOf(options: SessionOptions): number {
  const { keys, idleMs, absoluteMs } = options
  const whole = { min: 1, isWhole: true }
  checkNumbers(`sessions ${keys.session.pattern}`, options, { idleMs: whole, absoluteMs: whole, maxPerUser: whole })
  const longestMs = 'ms' in keys.session.ttl ? keys.session.ttl.ms : Number.NaN
  if (!(idleMs > 0 && idleMs <= absoluteMs && absoluteMs <= longestMs)) {
    throw new RangeError(
      `0 < idleMs <= absoluteMs <= ${longestMs} must hold, but idleMs is ${idleMs} and absoluteMs is ${absoluteMs}`,
    )
  }
  return longestMs
}
