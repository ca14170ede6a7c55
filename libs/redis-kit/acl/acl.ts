/**
 * The users of a Redis server, made from the key families that the services declare: one user per service, with its own keys, the keys
 * that others share with it, its channels, and only the commands that work on those types (commands.ts). `viewer` is for people who
 * look around. No other user can log in.
 *
 *     writeFileSync('users.acl', aclFile('state', families, { order: password, user: otherPassword }))
 */
import { createHash } from 'node:crypto'
import type { KeyFamily, KeyRole, KeyType } from '../keys.ts'
import {
  categoriesByType,
  channelCommands,
  commonCommands,
  keyReadCommands,
  listenCommands,
  viewerCommands,
  withheldOfCategories,
} from './commands.ts'

/**
 * For who publishes on streams: WAITAOF, by its category, because Redis 7.0 refuses a file that names a command which it has not got.
 * The others of that category are taken away again; a declared type brings back its own.
 */
const waitForDisk = '+@blocking -blpop -brpop -brpoplpush -blmove -blmpop -bzpopmin -bzpopmax -bzmpop -wait'.split(' ')

/**
 * No client can log in as `default`: it is off, and has no password. It keeps all permissions because Redis reads its own append-only
 * file in its name, and skips every transaction and every script's effects that it "may not" run: all data would be lost at a restart.
 */
const defaultUser = 'user default off resetpass allkeys allchannels allcommands'

/**
 * Users that are not services, each made when it has a password. `health` asks whether the server is well, `audit` reads which
 * user was refused what, `loader` makes the server read its ACL file again; none of them sees a key. A set of servers needs two
 * more: a replica logs in at its master as `replica` (`masteruser`), and Sentinel at all of them as `sentinel`
 * (`sentinel auth-user`). A replica receives all data.
 */
const operators: Readonly<Record<string, readonly string[]>> = {
  health: allow(['ping', 'hello', 'auth', 'info']),
  audit: allow(['ping', 'hello', 'auth', 'acl|log']),
  loader: allow(['ping', 'hello', 'auth', 'acl|load']),
  replica: allow(['ping', 'auth', 'psync', 'replconf']),
  sentinel: [
    ...allow(['ping', 'auth', 'info', 'role', 'multi', 'exec', 'slaveof', 'publish', 'subscribe']),
    ...allow(['config|rewrite', 'client|setname', 'client|kill', 'script|kill']),
    '&__sentinel__:hello',
  ],
}

/** For a person who looks around: reads all that is not hidden, and changes nothing. */
const viewer = 'viewer'

/**
 * The text of one server's ACL file. `passwords` has one per user; only their SHA-256 is written.
 * A service without keys on this server gets no user there. Throws a TypeError for a password that is missing or empty.
 */
export function aclFile(
  role: KeyRole,
  families: readonly KeyFamily[],
  passwords: Readonly<Record<string, string>>,
): string {
  const onThisServer = families.filter((family) => family.role === role)
  const users = Object.entries(passwords).flatMap(([name, password]) => {
    const rules = rulesOf(name, onThisServer)
    return rules.length === 0 ? [] : [userLine(name, password, ['resetkeys', 'resetchannels', ...rules])]
  })
  return `${[defaultUser, ...users].join('\n')}\n`
}

function userLine(name: string, password: string, rules: readonly string[]): string {
  if (!password) throw new TypeError(`the Redis user ${name} has no password`)
  return `user ${name} on #${sha256(password)} ${rules.join(' ')}`
}

function rulesOf(name: string, families: readonly KeyFamily[]): readonly string[] {
  if (name === viewer) return viewerRules(families)
  return operators[name] ? ['-@all', ...operators[name]] : serviceRules(name, families)
}

/** Of a hidden family the viewer sees names, types, TTLs and sizes. Key names cannot be hidden from SCAN: see docs/decisions/0028. */
function viewerRules(families: readonly KeyFamily[]): string[] {
  const open = families.filter(({ hidden }) => hidden === undefined)
  const { channel: channels = [], ...byType } = Object.groupBy(open, ({ type }) => type)
  return [
    '-@all',
    ...allow([...viewerCommands, ...listenCommands]),
    '%R~*',
    ...unique(channels.map(({ glob }) => `&${glob}`)),
    ...Object.values(byType).map((families) => readSelector(families)),
  ]
}

function serviceRules(service: string, families: readonly KeyFamily[]): string[] {
  const access = (family: KeyFamily) => (family.service === service ? 'write' : family.sharedWith?.[service])
  const mine = families.filter((family) => access(family) === 'write')
  const readable = families.filter((family) => access(family) === 'read' && family.type !== 'channel')
  if (mine.length + readable.length === 0) return []
  const keys = mine.filter(({ type }) => type !== 'channel').map(({ glob }) => `~${glob}`)
  const channels = mine.filter(({ type }) => type === 'channel').map(({ glob }) => `&${glob}`)
  const publishes = mine.some((family) => family.service === service && family.type === 'stream')
  return [
    '-@all',
    ...(publishes ? waitForDisk : []),
    ...typeCommands(mine.map(({ type }) => type)),
    ...allow(commonCommands),
    ...(channels.length > 0 ? allow(channelCommands) : []),
    ...unique(keys),
    ...unique(channels),
    ...readable.map((family) => readSelector([family])),
  ]
}

function typeCommands(types: readonly KeyType[]): string[] {
  const categories = unique(types.flatMap((type) => categoriesByType[type]))
  if (categories.length === 0) return []
  return [...allow(categories.map((name) => `@${name}`)), '-@admin', '-@dangerous', ...refuse(withheldOfCategories)]
}

/** A selector gives its commands on its keys only: what may be read of others cannot be written. All are of one type. */
function readSelector(families: readonly KeyFamily[]): string {
  const commands = [...typeCommands(families.map(({ type }) => type)), '-@write', ...allow(keyReadCommands)]
  return `(-@all ${[...commands, ...families.map(({ glob }) => `%R~${glob}`)].join(' ')})`
}

function allow(commands: readonly string[]): string[] {
  return commands.map((name) => `+${name}`)
}

function refuse(commands: readonly string[]): string[] {
  return commands.map((name) => `-${name}`)
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
