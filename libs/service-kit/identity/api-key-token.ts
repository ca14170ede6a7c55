/**
 * The token of an API key: `shop_<id>_<secret><checksum>`, for example shop_k7Tq3ZpA_ and 49 more letters and digits. The id is public
 * and names the key. The secret has 256 random bits. The checksum (CRC-32) lets a secret scanner tell a token from noise, and lets us
 * refuse a mistyped one without a look at Redis; it proves nothing.
 *
 * The token is kept as its SHA-256. A slow hash such as argon2 makes guesses of a password expensive, because people choose from few. A
 * guess of 256 random bits is hopeless at any speed, and the hash is made for every request.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const base = BigInt(digits.length)
const idLength = 8
/** The fewest digits that hold 256 bits, and 32. */
const secretLength = 43
const checksumLength = 6
const shape = new RegExp(`^shop_([0-9A-Za-z]{${idLength}})_[0-9A-Za-z]{${secretLength + checksumLength}}$`)

export interface ApiKeyToken {
  id: string
  /** The SHA-256 of the token in base64url: only this is stored. */
  digest: string
}

/** The visible beginning of a key's tokens. */
export function apiKeyPrefix(id: string): string {
  return `shop_${id}`
}

export function newApiKeyId(): string {
  return inBase62(BigInt(randomInt(digits.length ** idLength)), idLength)
}

/** A new token for the key `id`. The digest does not reveal it. */
export function newApiKeyToken(id: string): ApiKeyToken & { token: string } {
  const secret = inBase62(BigInt(`0x${randomBytes(32).toString('hex')}`), secretLength)
  const body = `${apiKeyPrefix(id)}_${secret}`
  const token = body + checksumOf(body)
  return { id, token, digest: digestOf(token) }
}

/** Undefined for text that cannot be a token. That it can be one says nothing about whether such a key exists. */
export function parseApiKeyToken(text: string): ApiKeyToken | undefined {
  const id = shape.exec(text)?.[1]
  const isWhole = id !== undefined && checksumOf(text.slice(0, -checksumLength)) === text.slice(-checksumLength)
  return isWhole ? { id, digest: digestOf(text) } : undefined
}

function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

function checksumOf(body: string): string {
  return inBase62(BigInt(crc32(body)), checksumLength)
}

function inBase62(value: bigint, length: number): string {
  let [text, rest] = ['', value]
  while (rest > 0n) {
    text = digits.charAt(Number(rest % base)) + text
    rest /= base
  }
  return text.padStart(length, '0')
}
