/**
 * A refusal by the ACL as an error that says what is missing. The server names neither the key nor, inside a script, the caller: here
 * the command is known. Values are never told.
 */
import { channel } from 'node:diagnostics_channel'
import type { Command } from 'ioredis'
import { RedisNotPermitted } from '../../errors.ts'

/** Each refusal is published here, also when a caller catches the error: a service shows it in its log and its health. */
export const notPermittedChannel = channel('redis-kit:not-permitted')

/** Redis 7.0, and newer ones with Valkey. In a script the reply is an ERR. */
const REFUSALS: readonly [RedisNotPermitted['missing'], RegExp][] = [
  ['command', /permissions to run the '(?<command>[^']+)' command|can't run this command or subcommand/],
  ['key', /permissions to access (?:a key|one of the keys)|can't access at least one of the keys/],
  ['channel', /permissions to access (?:a channel|one of the channels)|can't publish to the channel/],
]
const IS_REFUSAL = /^NOPERM|^ERR (?:ACL failure in script|The user executing the script)/
const MAX_KEY_COUNT = 3
/** A long id may be a secret, such as the one of a guest's cart. The family can be seen without it. */
const LONG_ID = /[^:{}]{25,}/g

/** SHA-1 and source of each script -> its file. */
const scriptNames = new Map<string, string>()

export function nameScript(name: string, ...bodies: string[]): void {
  for (const body of bodies) scriptNames.set(body, name)
}

/** What `command` failed with: a RedisNotPermitted, which is published, when the ACL is the reason; otherwise `error` as it is. */
export function explainRefusal(error: Error, command: Command, user: string): Error {
  if (!IS_REFUSAL.test(error.message)) return error
  const found = REFUSALS.map(([missing, pattern]) => ({ missing, match: pattern.exec(error.message) }))
  const { missing, match } = found.find((one) => one.match) ?? { missing: 'command' as const, match: null }
  const name = command.name.toLowerCase()
  const refusal = new RedisNotPermitted({
    user,
    missing,
    command: match?.groups?.command ?? (isScript(name) ? undefined : name),
    script: isScript(name) ? (scriptNames.get(String(command.args[0])) ?? 'a script') : undefined,
    // The keys that a script was given are judged before it runs: what is refused inside of it is another.
    keys: isInside(error) && missing !== 'command' ? [] : keysOf(name, command, missing),
  })
  notPermittedChannel.publish(refusal)
  return refusal
}

function isInside({ message }: Error): boolean {
  return message.startsWith('ERR')
}

function isScript(name: string): boolean {
  return name.startsWith('eval')
}

/** The first few: one of them is the one. */
function keysOf(name: string, command: Command, missing: RedisNotPermitted['missing']): string[] {
  const named = missing === 'channel' && !isScript(name) ? channelsOf(name, command) : command.getKeys()
  return named.slice(0, MAX_KEY_COUNT).map((key) => String(key).replace(LONG_ID, (id) => `${id.slice(0, 8)}…`))
}

function channelsOf(name: string, { args }: Command): unknown[] {
  return name.endsWith('publish') ? args.slice(0, 1) : args
}
