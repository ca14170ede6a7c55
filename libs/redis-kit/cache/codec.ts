/** How a value becomes bytes: one small interface, and around it compression and a limit of size that no codec has to know. */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'

export interface Codec<Value> {
  /** Stored with each value. A codec whose bytes mean something else has another name, and what it finds is a miss to it. */
  readonly name: string
  encode(value: Value): Buffer
  /** Throws when the bytes are not what `encode` made. The bytes may be part of a larger buffer: keep none of them. */
  decode(bytes: Buffer): Value
}

/** The default: fast in V8, readable in redis-cli, and what HTTP wants anyway (`getBytes`). */
export function jsonCodec<Value>(): Codec<Value> {
  return {
    name: 'json',
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(bytes.toString('utf8')) as Value,
  }
}

/** For `getBytes`: what the loader gave is what is stored and what comes out. */
export const bytesCodec: Codec<Buffer> = { name: 'bytes', encode: (bytes) => bytes, decode: (bytes) => bytes }

/** The same for bytes that are kept in memory: what is a part of a larger buffer would keep all of that. */
export const copiedBytesCodec: Codec<Buffer> = { name: 'bytes', encode: (bytes) => bytes, decode: copyOf }

function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

/** A value too large to be cached: a bug in the making (one hot megabyte at 1,000 reads a second is a full network card). */
export class ValueTooLarge extends Error {
  readonly code = 'CACHE_VALUE_TOO_LARGE'
  override readonly name = 'ValueTooLarge'
  readonly sizeBytes: number
  readonly limitBytes: number

  constructor(id: string, sizeBytes: number, limitBytes: number) {
    super(`the value of ${id} has ${sizeBytes} bytes, but the limit is ${limitBytes}`)
    this.sizeBytes = sizeBytes
    this.limitBytes = limitBytes
  }
}

export interface PackingOptions {
  /** Before compression. */
  maxValueBytes: number
  compressAboveBytes: number
}

export interface Packed {
  payload: Buffer
  isCompressed: boolean
}

export type Packing = ReturnType<typeof createPacking>

export function createPacking({ maxValueBytes, compressAboveBytes }: PackingOptions) {
  return {
    /** Throws ValueTooLarge. Compressed only where that makes it smaller. */
    pack(id: string, bytes: Buffer): Packed {
      if (bytes.length > maxValueBytes) throw new ValueTooLarge(id, bytes.length, maxValueBytes)
      if (bytes.length <= compressAboveBytes) return { payload: bytes, isCompressed: false }
      const compressed = zstdCompressSync(bytes)
      return compressed.length < bytes.length
        ? { payload: compressed, isCompressed: true }
        : { payload: bytes, isCompressed: false }
    },

    /** Never unpacks to more than the limit, whatever the bytes claim. */
    unpack({ payload, isCompressed }: Packed): Buffer {
      return isCompressed ? zstdDecompressSync(payload, { maxOutputLength: maxValueBytes }) : payload
    },
  }
}
