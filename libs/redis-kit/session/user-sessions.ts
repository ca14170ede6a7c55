/** All sessions of one user: listed, limited, ended together. */
import { isRedisOutage } from '../errors.ts'
import { script } from '../script.ts'
import type { SessionSummary } from './record.ts'
import { repairing } from './repair.ts'
import { isHandle, tagOfUser } from './session-id.ts'
import { destroy, keysOf, type Store } from './store.ts'

type Row = [handle: string, userId: string, createdAtMs: string, expiresAtMs: number, device: string | null]

const indexScript = script<string[]>(new URL('./index.lua', import.meta.url), { effect: 'idempotent' })
const listScript = script<Row[]>(new URL('./list.lua', import.meta.url), { effect: 'idempotent' })
const revokeScript = script<string[]>(new URL('./revoke.lua', import.meta.url), { effect: 'idempotent' })

/** Far above any `maxPerUser`; what lies beyond is reached when these have ended. */
const MAX_LISTED = 10_000
/** How many keys one command touches: a few hundred microseconds of the server's only thread. */
const CHUNK_SIZE = 250

/** Reading repairs: handles of sessions that have ended leave the index here, with no help from keyspace events. */
export async function list(store: Store, userId: string): Promise<SessionSummary[]> {
  const tag = tagOfUser(userId)
  const { index, epoch } = keysOf(store, tag, '-')
  const handles = await repairing(store, { tag, handles: [] }, () => indexScript(store.redis, [index], [MAX_LISTED]))
  const sessions: SessionSummary[] = []
  for (const chunk of chunksOf(handles)) {
    const keys = chunk.map((handle) => store.keys.session.key(tag, handle))
    const run = () => listScript(store.redis, [index, epoch, ...keys], chunk)
    const rows = await repairing(store, { tag, handles: chunk }, run)
    // Another user may share the tag.
    for (const row of rows) if (row[1] === userId) sessions.push(infoOf(store, row))
  }
  return sessions
}

/** The oldest make room. A best effort behind a sign-in that has succeeded, so an outage is left to the next one. */
export async function trim(store: Store, userId: string): Promise<void> {
  await unlessOutage(async () => {
    const sessions = await list(store, userId)
    const surplus = sessions.slice(0, Math.max(0, sessions.length - store.maxPerUser))
    await Promise.all(surplus.map(({ handle }) => destroy(store, { tag: tagOfUser(userId), handle, owner: userId })))
  })
}

/** The first script voids them all. Clearing the keys away is tidiness: they expire anyway, and nobody accepts them. */
export async function revokeAll(store: Store, userId: string, except = ''): Promise<void> {
  const { redis, keys, longestMs } = store
  const tag = tagOfUser(userId)
  const { index, epoch, session } = keysOf(store, tag, except || '-')
  const revokeKeys = except ? [epoch, index, session] : [epoch, index]
  const run = () => revokeScript(redis, revokeKeys, [longestMs, except])
  const handles = (await repairing(store, { tag, handles: except ? [except] : [] }, run)).filter(isHandle)
  await unlessOutage(async () => {
    for (const chunk of chunksOf(handles)) await redis.unlink(chunk.map((handle) => keys.session.key(tag, handle)))
  })
}

/** Missing is '0'. */
export async function epochOf(store: Store, userId: string): Promise<string> {
  const tag = tagOfUser(userId)
  return (await repairing(store, { tag, handles: [] }, () => store.redis.get(store.keys.epoch.key(tag)))) ?? '0'
}

function infoOf({ encryption }: Store, [handle, userId, createdAtMs, expiresAtMs, stored]: Row): SessionSummary {
  const device = stored === null ? '' : encryption ? (encryption.open(handle, 'dev', stored) ?? '') : stored
  return { handle, userId, device, createdAtMs: Number(createdAtMs), expiresAtMs }
}

function* chunksOf(handles: string[]) {
  for (let start = 0; start < handles.length; start += CHUNK_SIZE) yield handles.slice(start, start + CHUNK_SIZE)
}

async function unlessOutage(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isRedisOutage(error)) throw error
  }
}
