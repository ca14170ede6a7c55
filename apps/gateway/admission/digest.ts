/** Ids of addresses and users for keys in a Redis that keeps files: a reader of the files cannot find out whose they are by trying. */
import { createHmac, createSecretKey } from 'node:crypto'

/** Base64url characters, 132 bits: no two ids share a digest. */
const LENGTH = 22

export function createDigest(secret: string): (id: string) => string {
  const key = createSecretKey(secret, 'utf8')
  return (id) => createHmac('sha256', key).update(`rate-limit-id ${id}`).digest('base64url').slice(0, LENGTH)
}
