/**
 * The commands that a service may use. Commands that work on one type of key come with a declared key of that type, by Redis' own
 * categories: a newer server's commands on that type are granted where the server has them, and an older server still reads the file.
 * Every other command is named. `withheld` says why the rest is not granted; a test compares both with the server's own list.
 */
import type { KeyType } from '../keys.ts'

/** @bitmap and @hyperloglog work on strings, @geo works on sorted sets. */
export const categoriesByType: Record<KeyType, readonly string[]> = {
  string: ['string', 'bitmap', 'hyperloglog'],
  hash: ['hash'],
  list: ['list'],
  set: ['set'],
  zset: ['sortedset', 'geo'],
  stream: ['stream'],
  channel: [],
}

export const listenCommands = words('subscribe unsubscribe ssubscribe sunsubscribe psubscribe punsubscribe')
/** Not the category @pubsub: PUBSUB CHANNELS names the channels of every service. */
export const channelCommands = [...words('publish spublish'), ...listenCommands]

/**
 * What any client needs to be one. INFO is the only command among them that Redis calls dangerous: it tells of the server and nothing
 * of what is in it, and it alone says whether the server has loaded its data, and whether it evicts.
 */
const connectionCommands = words('ping hello auth client|setname client|getname client|id time info')

/**
 * What a client asks a Cluster: which node has which slot, whether the Cluster works, and ASKING for a slot that is moving. READONLY
 * and READWRITE go to nodes that are or were replicas; a refusal of them would fill the log of refusals. A single server answers
 * that it is not a Cluster.
 */
const clusterCommands = words('cluster|slots cluster|info asking readonly readwrite')
const scriptCommands = words('eval evalsha eval_ro evalsha_ro')
const transactionCommands = words('multi exec discard watch unwatch')

/** Commands on a key of any type that only look. */
export const keyReadCommands = words(`
  exists type ttl pttl expiretime pexpiretime object|encoding object|freq object|idletime object|refcount memory|usage`)

/** How much a key holds; no command among them shows a value, a field or a member. */
export const sizeCommands = words('strlen hlen llen scard zcard xlen')

/** For the user `viewer`, on keys of any family. Values come by type, on the families that are not hidden. */
export const viewerCommands = [
  ...connectionCommands,
  ...clusterCommands,
  ...keyReadCommands,
  ...sizeCommands,
  ...words('command scan dbsize acl|whoami'),
  ...words('pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub'),
]

const keyWriteCommands = words(`
  del unlink touch expire expireat pexpire pexpireat persist rename renamenx copy`)

/** For each service with a key or a channel. */
export const commonCommands = [
  ...connectionCommands,
  ...clusterCommands,
  ...scriptCommands,
  ...transactionCommands,
  ...keyReadCommands,
  ...keyWriteCommands,
]

/** Members of a granted category that are taken away again. The server's own @admin and @dangerous go too (SORT, PFDEBUG). */
export const withheldOfCategories = words('xgroup|destroy xgroup|setid xsetid')

/** Command -> why no service may use it. Groups `server`, `cluster`, `sentinel` and `module` are withheld as a whole. */
export const withheld: Readonly<Record<string, string>> = byReason({
  'names the keys or channels of every service': `
    keys scan randomkey pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub`,
  'reads any key through BY and GET; sort in the service, or keep a sorted set': 'sort sort_ro',
  'moves raw values between servers and past the type of the key': 'dump restore restore-asking migrate',
  'leaves database 0, the only one that a Cluster and many managed services have': 'select move swapdb',
  'removes or moves a group that another service reads by, or the ids of a stream':
    'xgroup|destroy xgroup|setid xsetid',
  'debugs the server': 'pfdebug pfselftest script|debug',
  'holds a shared connection until replicas answer; a publisher asks for the disk instead (WAITAOF)': 'wait',
  'changes what every client runs; a script travels with its caller (EVAL)': `
    script|load script|exists script|flush script|kill
    fcall fcall_ro function|load function|delete function|flush function|restore function|dump function|kill function|list function|stats`,
  'watches or ends the connections of others': `
    client|list client|kill client|pause client|unpause client|unblock client|no-evict`,
  'reports keys of every service (BCAST); the kit announces its invalidations itself': `
    client|tracking client|trackinginfo client|caching client|getredir`,
  'changes what a shared connection answers': 'client|reply',
  'tells nothing that a service needs': `
    echo client|info object|help client|help script|help function|help pubsub|help`,
})

/** Why `command` is withheld from every service; undefined when it comes with a declared type, or is unknown here. */
export function whyWithheld(command: string): string | undefined {
  return withheld[command.toLowerCase()]
}

function byReason(groups: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(groups).flatMap(([reason, commands]) => words(commands).map((command) => [command, reason])),
  )
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}
