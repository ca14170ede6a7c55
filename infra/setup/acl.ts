/**
 * Who may do what in Redis, from the key families that the services declare: one user per service, with its own keys, the
 * keys that others share with it, its channels, and only the commands that work on those types. Nobody else can log in.
 */
import { createHash } from 'node:crypto'
import type { KeyFamily, KeyRole, KeyType } from '@shop/redis-kit/keys'

/**
 * What any client needs to be one. INFO is the only command among them that Redis calls dangerous: it tells of the server and nothing
 * of what is in it, and it alone says whether the server has loaded its data, and whether it evicts.
 */
const connectionCommands = ['ping', 'hello', 'auth', 'client|setname', 'client|id', 'time', 'info']
/**
 * What it says to a Cluster: who has which slot, is all well, I was sent here for a slot that is on its way. READONLY and
 * READWRITE it says to who is or was a replica; it could do without, but a log of refusals is read only while it is empty.
 * A single server answers that it is no Cluster.
 */
const clusterCommands = ['cluster|slots', 'cluster|info', 'asking', 'readonly', 'readwrite']
const scriptCommands = ['eval', 'evalsha']
const keyCommands = ['exists', 'del', 'unlink', 'pexpire', 'pexpireat', 'pttl', 'pexpiretime', 'rename']

const commandsByType: Record<KeyType, readonly string[]> = {
  string: ['get', 'set', 'mget', 'incr', 'getrange'],
  hash: ['hget', 'hset', 'hsetnx', 'hmget', 'hgetall', 'hdel', 'hlen', 'hexists', 'hincrby'],
  list: [],
  set: [],
  zset: ['zadd', 'zrem', 'zrange', 'zscore', 'zcard', 'zcount', 'zrangebyscore', 'zremrangebyscore'],
  stream: [
    'xadd',
    'xread',
    'xreadgroup',
    'xack',
    'xdel',
    'xclaim',
    'xautoclaim',
    'xpending',
    'xrange',
    'xrevrange',
    'xlen',
    'xtrim',
    'xgroup|create',
    'xgroup|delconsumer',
    'xinfo|stream',
    'xinfo|groups',
    'xinfo|consumers',
  ],
  channel: ['publish', 'subscribe', 'unsubscribe', 'ssubscribe', 'sunsubscribe', 'spublish'],
}

/**
 * For who publishes on streams: WAITAOF, by its category, because Redis 7.0 refuses a file that names a command which it has not got.
 * The others of that category that the streams do not need are taken away again.
 */
const waitForDisk = '+@blocking -blpop -brpop -brpoplpush -blmove -blmpop -bzpopmin -bzpopmax -bzmpop -wait'.split(' ')

/**
 * Nobody logs in as `default`: it is off, and has no password. It keeps all permissions because Redis reads its own append-only
 * file in its name, and skips every transaction and every script's effects that it "may not" run: all data would be lost at a restart.
 */
const nobody = 'user default off resetpass allkeys allchannels allcommands'

/** Users that are no services: `health` logs in for the container's healthcheck, `audit` reads who was refused what. Neither sees a key. */
const operators: Readonly<Record<string, readonly string[]>> = {
  health: ['ping', 'hello', 'auth'],
  audit: ['ping', 'hello', 'auth', 'acl|log'],
}

/** Every command that some service may use on some type: a script cannot use another. */
export const grantedCommands: ReadonlySet<string> = new Set([
  ...connectionCommands,
  ...clusterCommands,
  ...scriptCommands,
  ...keyCommands,
  ...Object.values(commandsByType).flat(),
])

/**
 * The text of one server's ACL file. `passwords` has one per user; only their SHA-256 is written.
 * A service without keys on this server gets no user there.
 */
export function aclFile(
  role: KeyRole,
  families: readonly KeyFamily[],
  passwords: Readonly<Record<string, string>>,
): string {
  const onThisServer = families.filter((family) => family.role === role)
  const users = Object.entries(passwords).flatMap(([name, password]) => {
    const rules = operators[name] ? ['-@all', ...allow(operators[name])] : rulesFor(name, onThisServer)
    return rules.length === 0 ? [] : [`user ${name} on #${sha256(password)} resetkeys resetchannels ${rules.join(' ')}`]
  })
  return `${[nobody, ...users].join('\n')}\n`
}

function rulesFor(service: string, families: readonly KeyFamily[]): string[] {
  const access = (family: KeyFamily) => (family.service === service ? 'write' : family.sharedWith?.[service])
  const mine = families.filter((family) => access(family) === 'write')
  const readable = families.filter((family) => access(family) === 'read' && family.type !== 'channel')
  if (mine.length + readable.length === 0) return []
  const keys = mine.filter(({ type }) => type !== 'channel').map(({ glob }) => `~${glob}`)
  const channels = mine.filter(({ type }) => type === 'channel').map(({ glob }) => `&${glob}`)
  const commands = [
    ...connectionCommands,
    ...clusterCommands,
    ...scriptCommands,
    ...keyCommands,
    ...mine.flatMap(({ type }) => commandsByType[type]),
  ]
  const publishes = mine.some((family) => family.service === service && family.type === 'stream')
  return [
    '-@all',
    ...allow(unique(commands)),
    ...(publishes ? waitForDisk : []),
    ...unique(keys),
    ...unique(channels),
    ...readable.map(readSelector),
  ]
}

/** A selector gives its commands on its keys only: what may be read of others cannot be written. */
function readSelector({ glob, type }: KeyFamily): string {
  return `(-@all ${allow(commandsByType[type]).join(' ')} -@write %R~${glob})`
}

function allow(commands: readonly string[]): string[] {
  return commands.map((name) => `+${name}`)
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
