/** One session in Redis: begun, read, changed, renamed, ended. What a whole user has is in user-sessions.ts. */
import type { Redis } from '../connection/connection.ts'
import { script } from '../script.ts'
import {
  type FieldChanges,
  type FieldCipher,
  hashChanges,
  hashDevice,
  type LoadReply,
  parseSession,
  type SessionSummary,
  type StoredSession,
} from './record.ts'
import { repairing } from './repair.ts'
import { handleOf, isSessionId, mintId, tagOfId, tagOfUser } from './session-id.ts'
import type { SessionKeys } from './session-keys.ts'

/** What reading takes: a session carries its own lifetimes, so that any process that touches it keeps to them. */
export interface Reading {
  redis: Redis
  keys: SessionKeys
  encryption?: FieldCipher
  onUnreadable?: (handle: string) => void
}

export interface Store extends Reading {
  idleMs: number
  absoluteMs: number
  /** How long a user's epoch and index outlive their last use: as long as any session may live. */
  longestMs: number
  maxPerUser: number
}

/** A session's two names. */
export interface SessionNames {
  /** The secret: for the cookie, and for nothing else. */
  id: string
  /** The public one: for lists, logs and tokens. */
  handle: string
}

export type CreatedSession = SessionSummary & Pick<SessionNames, 'id'>

type CreateReply = [] | [createdAtMs: number, expiresAtMs: number, sessionCount: number]

const createScript = script<CreateReply>(new URL('./create.lua', import.meta.url))
const loadScript = script<[] | LoadReply>(new URL('./load.lua', import.meta.url), { effect: 'idempotent' })
const saveScript = script<0 | 1>(new URL('./save.lua', import.meta.url))
const rotateScript = script<1 | 0 | -1>(new URL('./rotate.lua', import.meta.url))
const destroyScript = script<0 | 1>(new URL('./destroy.lua', import.meta.url), { effect: 'idempotent' })

/** A touch is a write: it waits until a tenth of the idle time is used up. */
const TOUCH_BELOW = 0.9
const MAX_ROTATE_TRIES = 5

export function keysOf({ keys }: Pick<Store, 'keys'>, tag: string, handle: string) {
  return { session: keys.session.key(tag, handle), index: keys.index.key(tag), epoch: keys.epoch.key(tag) }
}

export interface Beginning {
  userId: string
  fields: Readonly<Record<string, string>>
  device: string
  /** '' if the caller did not look. */
  epoch: string
}

/** Undefined when the epoch has moved on. `sessionCount` is how many the user then has. */
export async function begin(store: Store, beginning: Beginning) {
  const { redis, idleMs, absoluteMs, longestMs, encryption } = store
  const { userId, fields, device, epoch } = beginning
  const { id, handle } = newNames(userId)
  const key = keysOf(store, tagOfUser(userId), handle)
  const { set } = hashChanges(handle, fields, encryption)
  const hash = ['uid', userId, ...hashDevice(handle, device, encryption), ...set]
  const args = [idleMs, absoluteMs, longestMs, epoch, handle, ...hash]
  const reply = await repairing(store, { tag: tagOfUser(userId), handles: [handle] }, () =>
    createScript(redis, [key.session, key.index, key.epoch], args),
  )
  if (reply.length === 0) return undefined
  const [createdAtMs, expiresAtMs, sessionCount] = reply
  const created: CreatedSession = { id, handle, userId, device, createdAtMs, expiresAtMs }
  return { created, sessionCount }
}

/** On the way of every request: two keys, one round trip, and a write only when the idle deadline is to be put off. */
export async function read(
  { redis, keys, encryption, onUnreadable }: Reading,
  id: unknown,
): Promise<StoredSession | undefined> {
  if (!isSessionId(id)) return undefined
  const [tag, handle] = [tagOfId(id), handleOf(id)]
  const reply = await repairing({ redis, keys }, { tag, handles: [handle] }, () =>
    loadScript(redis, [keys.session.key(tag, handle), keys.epoch.key(tag)], [TOUCH_BELOW]),
  )
  if (!isFound(reply)) return undefined
  // Its user is in the id too: a name that was damaged is nobody's.
  const stored = tagOfUser(reply[1]) === tag ? parseSession(handle, reply, encryption) : undefined
  if (!stored) onUnreadable?.(handle)
  return stored
}

const isFound = (reply: [] | LoadReply): reply is LoadReply => reply.length > 0

export async function save(store: Store, id: string, changes: FieldChanges): Promise<boolean> {
  if (!isSessionId(id)) return false
  const [tag, handle] = [tagOfId(id), handleOf(id)]
  const key = keysOf(store, tag, handle)
  const { set, remove } = hashChanges(handle, changes, store.encryption)
  const args = [set.length, ...set, ...remove]
  const run = () => saveScript(store.redis, [key.session, key.epoch], args)
  return (await repairing(store, { tag, handles: [handle] }, run)) === 1
}

/** Reads, then writes, since sealed values have to be sealed anew for the new handle. A write in between starts it over. */
export async function rotate(store: Store, id: string, changes: FieldChanges): Promise<SessionNames | undefined> {
  for (let tries = 1; tries <= MAX_ROTATE_TRIES; tries++) {
    const stored = await read(store, id)
    if (!stored) return undefined
    const names = newNames(stored.session.userId)
    const outcome = await rename(store, stored, { newHandle: names.handle, changes })
    if (outcome === 1) return names
    if (outcome === 0) return undefined
  }
  throw new Error(`session not rotated: it was written during each of ${MAX_ROTATE_TRIES} tries`)
}

interface Renaming {
  newHandle: string
  changes: FieldChanges
}

function rename(store: Store, { session, gen }: StoredSession, { newHandle, changes }: Renaming) {
  const { redis, encryption } = store
  const tag = tagOfUser(session.userId)
  const old = keysOf(store, tag, session.handle)
  const next = keysOf(store, tag, newHandle)
  const all = encryption ? { ...session.fields, ...changes } : changes
  const { set, remove } = hashChanges(newHandle, all, encryption)
  if (encryption) set.push(...hashDevice(newHandle, session.device, encryption))
  const args = [gen, session.handle, newHandle, set.length, ...set, ...remove]
  return repairing(store, { tag, handles: [session.handle, newHandle] }, () =>
    rotateScript(redis, [old.session, next.session, old.index, old.epoch], args),
  )
}

interface Target {
  tag: string
  handle: string
  /** The user that the session must belong to. @default '', any user */
  owner?: string
}

export async function destroy(store: Store, { tag, handle, owner = '' }: Target): Promise<boolean> {
  const key = keysOf(store, tag, handle)
  const run = () => destroyScript(store.redis, [key.session, key.index], [handle, owner])
  return (await repairing(store, { tag, handles: [handle] }, run)) === 1
}

function newNames(userId: string): SessionNames {
  const id = mintId(userId)
  return { id, handle: handleOf(id) }
}
