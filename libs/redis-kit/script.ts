/**
 * Lua scripts as typed functions. The source is a `.lua` file beside its caller, read once; the server knows it by its hash.
 *
 *     const gcra = script<[allowed: 0 | 1, retryAfterMs: number]>(new URL('./gcra.lua', import.meta.url))
 *     const [allowed, retryAfterMs] = await gcra(redis, [key], [limit, periodMs])
 *
 * The server's script cache is volatile: a restart, a failover or SCRIPT FLUSH empties it at any moment. So each call is
 * prepared for NOSCRIPT, which promises that nothing was executed, and then sends the source. Inside a MULTI or a pipeline
 * that repair would come too late (the commands behind it have run), so there is no way to put a script into one: what
 * must happen together belongs into one script.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Command } from 'ioredis'
import type { Redis } from './connection/connection.ts'
import { declareEffect, type Effect } from './connection/effect.ts'
import { nameScript } from './connection/server/permission.ts'
import { whenWritten } from './connection/written.ts'

export interface ScriptOptions {
  /**
   * What running it twice does: decides whether the kit may send it again when its answer is lost.
   * @default 'once': never sent again
   */
  effect?: Effect
  /** Replies as Buffers, for values that are not text. @default false */
  binary?: boolean
}

export type ScriptArgument = string | number | Buffer
/** @param onWritten told when the call has left this process, before its answer comes: see written.ts */
export type Script<Reply> = (
  redis: Redis,
  keys: readonly string[],
  args?: readonly ScriptArgument[],
  onWritten?: () => void,
) => Promise<Reply>

/** A script got keys of several hash slots: a Cluster would refuse it, so every server does. */
export class CrossSlotKeys extends TypeError {
  readonly code = 'REDIS_CROSS_SLOT_KEYS'
  override readonly name = 'CrossSlotKeys'
}

/**
 * Reads the file (at once: a missing file stops the process at its start and not at its first use) and returns the function
 * that runs it. Fails as any command does, see errors.ts; an error that the script raises is a ReplyError.
 */
export function script<Reply>(url: URL, { effect = 'once', binary = false }: ScriptOptions = {}): Script<Reply> {
  const source = readFileSync(url, 'utf8')
  const hash = createHash('sha1').update(source).digest('hex')
  nameScript(basename(url.pathname), hash, source)

  return async function run(redis, keys, args = [], onWritten) {
    assertOneSlot(keys, url)
    try {
      return await send('evalsha', hash)
    } catch (error) {
      if (!isUnknownScript(error)) throw error
      return await send('eval', source) // runs it and puts it into the cache
    }

    function send(name: 'evalsha' | 'eval', body: string): Promise<Reply> {
      const command = new Command(name, [body, keys.length, ...keys, ...args], {
        replyEncoding: binary ? null : 'utf8',
      })
      declareEffect(command, effect)
      if (onWritten) whenWritten(command, onWritten)
      redis.sendCommand(command)
      return command.promise
    }
  }
}

/**
 * Throws CrossSlotKeys unless all keys have the same hash tag. On a single server too, so that the mistake is found by the
 * first test and not by the first Cluster. By tag and not by slot: that two tags share one of 16,384 slots is an accident.
 */
function assertOneSlot(keys: readonly string[], url: URL): void {
  const first = keys[0]
  if (first === undefined || keys.length === 1) return
  const tag = hashTag(first)
  for (const key of keys) {
    if (hashTag(key) === tag) continue
    throw new CrossSlotKeys(`${basename(url.pathname)} got keys of different hash slots: ${first} and ${key}`)
  }
}

/** The part of a key that decides its slot: between the first `{` and the next `}` unless that is empty, else all of it. */
function hashTag(key: string): string {
  const start = key.indexOf('{') + 1
  const end = start === 0 ? -1 : key.indexOf('}', start)
  return end > start ? key.slice(start, end) : key
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError' && error.message.startsWith('NOSCRIPT')
}
