/** A session as the hash it is stored in: `uid iat idle abs ep gen dev`, and `d:<field>` for each field of the caller. */

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

const FIELD_NAME = /^[a-z][\w.-]{0,63}$/i // begins with a letter: `__proto__` is none
const MAX_FIELDS = 64
const MAX_VALUE_BYTES = 4096

/** The reply of load.lua. */
export type LoadReply = [
  expiresAtMs: number,
  userId: string,
  createdAtMs: string,
  device: string,
  gen: string,
  ...fieldsAndValues: string[],
]

/** Undefined when a value cannot be opened: such a session is not trusted in part. */
export function parseSession(handle: string, reply: LoadReply, cipher?: FieldCipher): StoredSession | undefined {
  const [expiresAtMs, userId, createdAtMs, sealedDevice, gen] = reply
  const at = { handle, cipher }
  const device = sealedDevice && opened(at, 'dev', sealedDevice)
  if (device === undefined) return undefined
  const fields: Record<string, string> = {}
  for (let i = 5; i < reply.length; i += 2) {
    const field = reply[i] as string
    const value = opened(at, `d:${field}`, reply[i + 1] as string)
    if (value === undefined) return undefined
    fields[field] = value
  }
  return { session: { handle, userId, fields, device, createdAtMs: Number(createdAtMs), expiresAtMs }, gen }
}

interface Place {
  handle: string
  cipher?: FieldCipher
}

function opened({ handle, cipher }: Place, name: string, value: string): string | undefined {
  return cipher ? cipher.open(handle, name, value) : value
}

/** `field, value, ...` for HSET and the fields for HDEL. Throws RangeError for what does not belong into a session. */
export function hashChanges(handle: string, changes: FieldChanges, cipher?: FieldCipher) {
  const entries = Object.entries(changes)
  if (entries.length > MAX_FIELDS) throw new RangeError(`more than ${MAX_FIELDS} fields at once`)
  const set: string[] = []
  const remove: string[] = []
  for (const [field, value] of entries) {
    if (!FIELD_NAME.test(field)) throw new RangeError(`not a valid name of a session field: ${JSON.stringify(field)}`)
    if (value === undefined) remove.push(`d:${field}`)
    else set.push(`d:${field}`, sealed({ handle, cipher }, `d:${field}`, value))
  }
  return { set, remove }
}

export function hashDevice(handle: string, device: string, cipher?: FieldCipher): string[] {
  return device === '' ? [] : ['dev', sealed({ handle, cipher }, 'dev', device)]
}

function sealed({ handle, cipher }: Place, name: string, value: string): string {
  if (Buffer.byteLength(value) > MAX_VALUE_BYTES)
    throw new RangeError(`${name} is longer than ${MAX_VALUE_BYTES} bytes`)
  return cipher ? cipher.seal(handle, name, value) : value
}
