/**
 * AES-256-GCM for the fields of sessions. The additional data binds each value to its session, its field and this format,
 * so that a sealed value copied to another place does not open. One key writes, several may read: to rotate, add a key,
 * make it the writing one when all instances have it, and remove the old one when no session of its time is left.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { FieldCipher } from './record.ts'

const VERSION = 'v1'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

export interface KeyRing {
  /** 32 bytes each, by a short id that is stored with every value. */
  keys: Readonly<Record<string, Buffer>>
  /** Which of them seals. */
  writeKeyId: string
}

/** Throws RangeError, naming the key, when the ring cannot work. A stored value is `v1.keyId.base64url(nonce | text | tag)`. */
export function createFieldCipher({ keys, writeKeyId }: KeyRing): FieldCipher {
  for (const [id, key] of Object.entries(keys)) {
    if (!/^[\w-]{1,32}$/.test(id)) throw new RangeError(`not a valid key id: ${JSON.stringify(id)}`)
    if (key.length !== KEY_BYTES) throw new RangeError(`key ${id} has ${key.length} bytes instead of ${KEY_BYTES}`)
  }
  const ring = new Map(Object.entries(keys))
  const writeKey = ring.get(writeKeyId)
  if (!writeKey) throw new RangeError(`the write key ${writeKeyId} is not in the ring`)

  return {
    seal: (handle, field, value) => `${VERSION}.${writeKeyId}.${encrypt(writeKey, aadOf(handle, field), value)}`,
    open(handle, field, sealed) {
      const [version, keyId = '', body = ''] = sealed.split('.')
      const key = ring.get(keyId)
      return version === VERSION && key ? decrypt(key, aadOf(handle, field), body) : undefined
    },
  }
}

/** A handle has a fixed length and no line break, so no two places have the same additional data. */
function aadOf(handle: string, field: string): Buffer {
  return Buffer.from(`${VERSION}\n${handle}\n${field}`)
}

/** A random nonce is safe for 2^32 values per key (NIST SP 800-38D 8.3): rotate before. */
function encrypt(key: Buffer, aad: Buffer, value: string): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad)
  const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, text, cipher.getAuthTag()]).toString('base64url')
}

function decrypt(key: Buffer, aad: Buffer, body: string): string | undefined {
  const bytes = Buffer.from(body, 'base64url')
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(aad).setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES))
    return Buffer.concat([text, decipher.final()]).toString('utf8')
  } catch {
    return undefined // the tag does not fit: not sealed with this key for this place
  }
}
