/** A third smaller than JSON for records with numbers, and it keeps dates and bytes. Not readable by people or by HTTP clients. */
import { Packr } from 'msgpackr'
import type { Codec } from './codec.ts'

export function messagePackCodec<Value>(): Codec<Value> {
  // Without `records`, which would make the bytes depend on what this process encoded before.
  const packr = new Packr({ useRecords: false, moreTypes: true, copyBuffers: true })
  return {
    name: 'message-pack',
    encode: (value) => Buffer.from(packr.pack(value)),
    decode: (bytes) => packr.unpack(bytes) as Value,
  }
}
