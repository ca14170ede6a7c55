/** A session as the hash it is stored in: `uid iat abs ep gen dev`, and `d:<field>` for each field of the caller. */

export interface Session {
  /** The public name of the session: its id's SHA-256. */
  handle: string
  userId: string
  fields: Record<string, string>
  /** What it was created with, to tell devices apart in a list. '' if nothing. */
  device: string
  createdAtMs: number
  /** When it ends unless it is used, or at the latest: the server's clock. */
  expiresAtMs: number
}

/** What there is to show of a session. */
export type SessionSummary = Omit<Session, 'fields'>

/** Changes to the fields of a session: a string sets, undefined removes. */
export type FieldChanges = Readonly<Record<string, string | undefined>>

/** Keeps field values unreadable at rest. See encryption.ts. */
export interface FieldCipher {
  seal(handle: string, field: string, value: string): string
  /** Undefined when this was not sealed for this session and field, or by no key we have. */
  open(handle: string, field: string, sealed: string): string | undefined
}

export interface StoredSession {
  session: Session
  /** Counts the writes. */
  gen: string
}

const FIELD_NAME = /^[\w.-]{1,64}$/
const MAX_FIELDS = 64
const MAX_VALUE_BYTES = 4096

/** The reply of load.lua. Undefined when a field cannot be opened: such a session is not trusted in part. */
export function parseSession(
  { handle, expiresAtMs }: Pick<Session, 'handle' | 'expiresAtMs'>,
  flat: readonly string[],
  cipher?: FieldCipher,
): StoredSession | undefined {
  const session: Session = { handle, userId: '', fields: {}, device: '', createdAtMs: 0, expiresAtMs }
  let gen = ''
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string
    const value = flat[i + 1] as string
    if (name === 'uid') session.userId = value
    else if (name === 'iat') session.createdAtMs = Number(value)
    else if (name === 'gen') gen = value
    else if (name === 'dev' || name.startsWith('d:')) {
      const opened = cipher ? cipher.open(handle, name, value) : value
      if (opened === undefined) return undefined
      if (name === 'dev') session.device = opened
      else session.fields[name.slice(2)] = opened
    }
  }
  // Accept only what has what every session has: an empty hash is nobody's.
  return session.userId === '' || session.createdAtMs === 0 ? undefined : { session, gen }
}

/** `field, value, ...` for HSET and the fields for HDEL. Throws RangeError for what does not belong into a session. */
export function hashChanges(handle: string, changes: FieldChanges, cipher?: FieldCipher) {
  const entries = Object.entries(changes)
  if (entries.length > MAX_FIELDS) throw new RangeError(`more than ${MAX_FIELDS} fields at once`)
  const set: string[] = []
  const remove: string[] = []
  for (const [field, value] of entries) {
    if (!FIELD_NAME.test(field)) throw new RangeError(`not a name for a session field: ${JSON.stringify(field)}`)
    if (value === undefined) remove.push(`d:${field}`)
    else set.push(`d:${field}`, sealed(handle, `d:${field}`, value, cipher))
  }
  return { set, remove }
}

export function hashDevice(handle: string, device: string, cipher?: FieldCipher): string[] {
  return device === '' ? [] : ['dev', sealed(handle, 'dev', device, cipher)]
}

function sealed(handle: string, name: string, value: string, cipher?: FieldCipher): string {
  if (Buffer.byteLength(value) > MAX_VALUE_BYTES)
    throw new RangeError(`${name} is longer than ${MAX_VALUE_BYTES} bytes`)
  return cipher ? cipher.seal(handle, name, value) : value
}
