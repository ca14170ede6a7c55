/**
 * The two commands that @upstash/ratelimit needs for a decision, over ioredis in the place of Upstash's HTTP. Thinner than
 * the client of Upstash: no request, no JSON.
 *
 * The first line of its scripts has a flag that only Upstash knows (`allow-key-locking`) and that Redis refuses, so it is left
 * out. The script then has another hash than the one that the library asks for.
 */
import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'

type Argument = string | number

export function upstashOver(redis: Redis) {
  const hashes = new Map<string, string>()
  return {
    evalsha(hash: string, keys: string[], args: Argument[]): Promise<unknown> {
      const known = hashes.get(hash)
      if (known === undefined) return Promise.reject(new Error('NOSCRIPT'))
      return redis.evalsha(known, keys.length, ...keys, ...args)
    },
    /** The library calls it when evalsha has failed with NOSCRIPT. */
    async eval(script: string, keys: string[], args: Argument[]): Promise<unknown> {
      const source = script.replace(/^#!lua flags=allow-key-locking\n/, '')
      const hash = createHash('sha1').update(script).digest('hex')
      hashes.set(hash, createHash('sha1').update(source).digest('hex'))
      return redis.eval(source, keys.length, ...keys, ...args)
    },
  }
}
