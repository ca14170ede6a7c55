/**
 * What the cache stores under a key: a header of fixed places, then the stamps of the tags, then the payload.
 *
 *      0  u8   format                          20  u32  codec: its name, hashed
 *      1  u8   flags                           24  8 B  token of the lease it was loaded under: names this very value
 *      2  u16  schema version                  32  u32  length of all of it
 *      4  u48  createdAtMs                     36  u32  check of the header
 *     10  u48  softTtlMs: fresh for so long    40  [u16 length, {u8 length, tag, 8 B stamp} ...] if tagged, then the payload
 *     16  u32  loadCostMs: what the load took
 *
 * `createdAtMs` is the moment the load began, by the server's clock: the value cannot be newer than that.
 *
 * Bytes of another release, of another program, or cut short are no envelope. The payload has no checksum, which would cost a
 * tenth of a hit: whether it makes sense is for the codec to find out.
 */
import { randomFillSync } from 'node:crypto'

const FORMAT = 2
const CODEC_AT = 20
const TOKEN_AT = 24
const LENGTH_AT = 32
const CHECK_AT = 36
const HEADER_BYTES = 40
const TOKEN_BYTES = 8
const NEGATIVE = 1
const COMPRESSED = 2
const TAGGED = 4
const MAX_U32 = 0xffff_ffff
export const MAX_TAG_BYTES = 255
/** So many tags of the greatest length fit into their place. */
export const MAX_TAG_COUNT = 200

/** A tag and the stamp it had before the load. */
export type Stamp = readonly [tag: string, stamp: Buffer]

export interface Envelope {
  schemaVersion: number
  codecId: number
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

/** What a reader takes: envelopes of other releases and of other codecs are none to it. */
export type Expected = Pick<Envelope, 'schemaVersion' | 'codecId'>

const NO_STAMPS: readonly Stamp[] = []

export function seal(envelope: Envelope): Buffer {
  const { stamps, payload, token } = envelope
  const tags = stamps.length > 0 ? sealStamps(stamps) : undefined
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header[0] = FORMAT
  header[1] = (envelope.isNegative ? NEGATIVE : 0) | (envelope.isCompressed ? COMPRESSED : 0) | (tags ? TAGGED : 0)
  header.writeUInt16BE(envelope.schemaVersion, 2)
  header.writeUIntBE(Math.floor(envelope.createdAtMs), 4, 6)
  header.writeUIntBE(Math.floor(envelope.softTtlMs), 10, 6)
  header.writeUInt32BE(Math.min(Math.ceil(envelope.loadCostMs), MAX_U32), 16)
  header.writeUInt32BE(envelope.codecId, CODEC_AT)
  token.copy(header, TOKEN_AT)
  header.writeUInt32BE(HEADER_BYTES + (tags?.length ?? 0) + payload.length, LENGTH_AT)
  header.writeUInt32BE(checkOf(header), CHECK_AT)
  return Buffer.concat(tags ? [header, tags, payload] : [header, payload])
}

/** Undefined when the bytes are not an envelope that this reader expects. Never throws. */
export function open(bytes: Buffer, { schemaVersion, codecId }: Expected): Envelope | undefined {
  if (bytes.length < HEADER_BYTES || bytes[0] !== FORMAT) return undefined
  if (bytes.readUInt32BE(LENGTH_AT) !== bytes.length || bytes.readUInt32BE(CHECK_AT) !== checkOf(bytes))
    return undefined
  if (bytes.readUInt16BE(2) !== schemaVersion || bytes.readUInt32BE(CODEC_AT) !== codecId) return undefined
  const flags = bytes[1] as number
  const payloadAt = flags & TAGGED ? payloadAfterTags(bytes) : HEADER_BYTES
  const stamps = flags & TAGGED ? openStamps(bytes.subarray(HEADER_BYTES + 2, payloadAt)) : NO_STAMPS
  if (payloadAt > bytes.length || stamps === undefined) return undefined
  return {
    schemaVersion,
    codecId,
    createdAtMs: bytes.readUIntBE(4, 6),
    softTtlMs: bytes.readUIntBE(10, 6),
    loadCostMs: bytes.readUInt32BE(16),
    token: tokenOf(bytes),
    isNegative: (flags & NEGATIVE) !== 0,
    isCompressed: (flags & COMPRESSED) !== 0,
    stamps,
    payload: bytes.subarray(payloadAt),
  }
}

/** A codec's name in 32 bits. */
export function codecIdOf(name: string): number {
  return hash(Buffer.from(name))
}

/** The token by its place alone, as the scripts find it: also of bytes that are no envelope. */
export function tokenOf(bytes: Buffer): Buffer {
  return bytes.subarray(TOKEN_AT, TOKEN_AT + TOKEN_BYTES)
}

export function isToken(bytes: Buffer): boolean {
  return bytes.length === TOKEN_BYTES
}

/** 64 random bits: a lease's token or a tag's stamp. Never used twice, so equal means the same. */
export function newToken(): Buffer {
  return randomFillSync(Buffer.allocUnsafeSlow(TOKEN_BYTES))
}

function sealStamps(stamps: readonly Stamp[]): Buffer {
  const parts = stamps.flatMap(([tag, stamp]) => {
    const name = Buffer.from(tag)
    if (name.length > MAX_TAG_BYTES) throw new RangeError(`a tag must have at most ${MAX_TAG_BYTES} bytes: ${tag}`)
    return [Buffer.of(name.length), name, stamp]
  })
  const body = Buffer.concat(parts)
  if (body.length > 0xffff) throw new RangeError(`the value has too many tags: ${stamps.length}`)
  const length = Buffer.allocUnsafe(2)
  length.writeUInt16BE(body.length)
  return Buffer.concat([length, body])
}

function payloadAfterTags(bytes: Buffer): number {
  return bytes.length < HEADER_BYTES + 2 ? bytes.length + 1 : HEADER_BYTES + 2 + bytes.readUInt16BE(HEADER_BYTES)
}

/** Undefined when the bytes end in the middle of one. */
function openStamps(bytes: Buffer): Stamp[] | undefined {
  const stamps: Stamp[] = []
  for (let at = 0; at < bytes.length; ) {
    const nameAt = at + 1
    const stampAt = nameAt + (bytes[at] as number)
    at = stampAt + TOKEN_BYTES
    if (at > bytes.length) return undefined
    stamps.push([bytes.toString('utf8', nameAt, stampAt), bytes.subarray(stampAt, at)])
  }
  return stamps
}

function checkOf(bytes: Buffer): number {
  return hash(bytes, CHECK_AT)
}

/** FNV-1a of the first bytes. */
function hash(bytes: Buffer, length = bytes.length): number {
  let state = 0x811c9dc5
  for (let i = 0; i < length; i++) state = Math.imul(state ^ (bytes[i] as number), 0x01000193)
  return state >>> 0
}
