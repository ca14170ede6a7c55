/**
 * What the cache stores under a key: a header of fixed places, then the stamps of the tags, then the payload.
 *
 *      0  u8   format             10  u32  softTtlMs: fresh for so long
 *      1  u8   flags              14  u32  loadCostMs: what the load took
 *      2  u16  schema version     18  8 B  token of the lease it was loaded under: names this very value
 *      4  u48  createdAtMs        26  [u16 length, {u8 length, tag, 8 B stamp} …] if tagged, then the payload
 *
 * `createdAtMs` is the moment the load began, by the server's clock: the value cannot be newer than that.
 */
import { randomFillSync } from 'node:crypto'

const FORMAT = 1
const HEADER_BYTES = 26
const TOKEN_AT = 18
const TOKEN_BYTES = 8
const NEGATIVE = 1
const COMPRESSED = 2
const TAGGED = 4
export const MAX_TAG_BYTES = 255

/** A tag and the stamp it had before the load. */
export type Stamp = readonly [tag: string, stamp: Buffer]

export interface Envelope {
  schemaVersion: number
  createdAtMs: number
  softTtlMs: number
  loadCostMs: number
  token: Buffer
  /** The source said that there is no such thing; the payload is empty. */
  isNegative: boolean
  isCompressed: boolean
  stamps: readonly Stamp[]
  payload: Buffer
}

const NO_STAMPS: readonly Stamp[] = []

export function seal(envelope: Envelope): Buffer {
  const { stamps, payload, token } = envelope
  const tags = stamps.length > 0 ? sealStamps(stamps) : undefined
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header[0] = FORMAT
  header[1] = (envelope.isNegative ? NEGATIVE : 0) | (envelope.isCompressed ? COMPRESSED : 0) | (tags ? TAGGED : 0)
  header.writeUInt16BE(envelope.schemaVersion, 2)
  header.writeUIntBE(Math.floor(envelope.createdAtMs), 4, 6)
  header.writeUInt32BE(Math.floor(envelope.softTtlMs), 10)
  header.writeUInt32BE(Math.min(Math.ceil(envelope.loadCostMs), 0xffff_ffff), 14)
  token.copy(header, TOKEN_AT)
  return Buffer.concat(tags ? [header, tags, payload] : [header, payload])
}

/** Undefined when the bytes are not an envelope of this schema version: written by another release, or damaged. */
export function open(bytes: Buffer, schemaVersion: number): Envelope | undefined {
  if (bytes.length < HEADER_BYTES || bytes[0] !== FORMAT || bytes.readUInt16BE(2) !== schemaVersion) return undefined
  const flags = bytes[1] as number
  const payloadAt = flags & TAGGED ? HEADER_BYTES + 2 + bytes.readUInt16BE(HEADER_BYTES) : HEADER_BYTES
  if (payloadAt > bytes.length) return undefined
  return {
    schemaVersion,
    createdAtMs: bytes.readUIntBE(4, 6),
    softTtlMs: bytes.readUInt32BE(10),
    loadCostMs: bytes.readUInt32BE(14),
    token: tokenOf(bytes),
    isNegative: (flags & NEGATIVE) !== 0,
    isCompressed: (flags & COMPRESSED) !== 0,
    stamps: flags & TAGGED ? openStamps(bytes.subarray(HEADER_BYTES + 2, payloadAt)) : NO_STAMPS,
    payload: bytes.subarray(payloadAt),
  }
}

/** The token by its place alone, as the scripts find it: also of bytes that are no envelope. */
export function tokenOf(bytes: Buffer): Buffer {
  return bytes.subarray(TOKEN_AT, TOKEN_AT + TOKEN_BYTES)
}

/** 64 random bits: a lease's token or a tag's stamp. Never used twice, so equal means the same. */
export function newToken(): Buffer {
  return randomFillSync(Buffer.allocUnsafeSlow(TOKEN_BYTES))
}

function sealStamps(stamps: readonly Stamp[]): Buffer {
  const parts = stamps.flatMap(([tag, stamp]) => {
    const name = Buffer.from(tag)
    if (name.length > MAX_TAG_BYTES) throw new RangeError(`a tag is longer than ${MAX_TAG_BYTES} bytes: ${tag}`)
    return [Buffer.of(name.length), name, stamp]
  })
  const body = Buffer.concat(parts)
  if (body.length > 0xffff) throw new RangeError(`${stamps.length} tags on one value are too many`)
  const length = Buffer.allocUnsafe(2)
  length.writeUInt16BE(body.length)
  return Buffer.concat([length, body])
}

function openStamps(bytes: Buffer): Stamp[] {
  const stamps: Stamp[] = []
  for (let at = 0; at < bytes.length; ) {
    const nameAt = at + 1
    const stampAt = nameAt + (bytes[at] as number)
    at = stampAt + TOKEN_BYTES
    stamps.push([bytes.toString('utf8', nameAt, stampAt), bytes.subarray(stampAt, at)])
  }
  return stamps
}
