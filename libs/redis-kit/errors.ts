/**
 * How a command may fail, by the one thing its caller has to know: was it executed?
 *
 *     RedisUnavailable   no      try again as you like, or answer without Redis
 *     RedisOverloaded    no      this process has too much in flight already: shed, do not retry
 *     OutcomeUnknown     maybe   it was sent and no answer came: look before you repeat it
 *
 * A reply of the server that speaks of its own state (LOADING, READONLY, OOM, …) is RedisUnavailable too, with the reply as
 * its cause. A reply that speaks of the command (WRONGTYPE, NOPERM, …) stays what ioredis makes of it, a ReplyError.
 */

/** Certainly changed nothing, neither now nor later. */
export class RedisUnavailable extends Error {
  readonly code = 'REDIS_UNAVAILABLE'
  override readonly name = 'RedisUnavailable'
}

/** It was sent and the answer is lost: it may have been executed, or be executed within the next moments, or never. */
export class OutcomeUnknown extends Error {
  readonly code = 'REDIS_OUTCOME_UNKNOWN'
  override readonly name = 'OutcomeUnknown'
}

export interface NotPermitted {
  /** The Redis user of the connection. */
  user: string
  /** What the ACL does not grant. */
  missing: 'command' | 'key' | 'channel'
  /** In lower case, `xinfo|stream` for a subcommand. Undefined where the server does not say which command of a script it was. */
  command?: string
  /** The file of the script that ran. */
  script?: string
  /** Keys, or channels, of the command: the first three. Empty when a script named another one itself. */
  keys: readonly string[]
}

/**
 * The ACL refuses a command, a key or a channel (NOPERM, in scripts too). An error reply like others, and no outage: time cures nothing.
 * Usually a key that no `keyFamily` declares. It holds no value, and so not the server's reply, to which ioredis adds the arguments.
 */
export class RedisNotPermitted extends Error {
  readonly code = 'REDIS_NOT_PERMITTED'
  override readonly name = 'ReplyError'
  readonly user: string
  readonly missing: NotPermitted['missing']
  readonly command?: string
  readonly script?: string
  readonly keys: readonly string[]

  constructor({ user, missing, command, script, keys }: NotPermitted) {
    const what = missing === 'command' ? 'key' : missing
    const named = keys.length > 1 ? `one of the ${what}s ${keys.join(', ')}` : `the ${what} ${keys[0]}`
    const used = keys.length > 0 ? named : `a ${what} outside its ACL`
    const where = script === undefined ? '' : ` in ${script}`
    const ran = `${command?.toUpperCase() ?? 'a command'}${where}`
    const refused = missing === 'command' ? `run ${ran}` : `use ${used}${where || ` with ${ran}`}`
    super(`NOPERM the Redis user ${user} may not ${refused}${missing === 'command' && keys[0] ? ` on ${named}` : ''}`)
    this.user = user
    this.missing = missing
    this.command = command
    this.script = script
    this.keys = keys
  }
}

/** Refused by the limits of this process (`maxPendingCount`, `maxPendingBytes`) before anything was sent. */
export class RedisOverloaded extends Error {
  readonly code = 'REDIS_OVERLOADED'
  override readonly name = 'RedisOverloaded'
}

/**
 * The error replies of Redis and Valkey, by their first word: does the reply speak of the server's state (an outage: the same
 * command is fine once the server is), or of the command? A word that is not listed speaks of the command.
 */
const REPLIES: Record<string, { isOutage: boolean; because: string }> = {
  // The server cannot serve anything yet, or any more.
  LOADING: { isOutage: true, because: 'the data set is being read into memory' },
  BUSY: { isOutage: true, because: 'a script or a module has held the server for longer than its limit' },
  DENIED: { isOutage: true, because: 'protected mode refuses the connection' },
  // It cannot serve this role or this slot now.
  READONLY: { isOutage: true, because: 'it was demoted to a replica; the master is elsewhere' },
  MASTERDOWN: { isOutage: true, because: 'a replica without its master may not serve stale data' },
  CLUSTERDOWN: { isOutage: true, because: 'the Cluster, or the slot, has no master' },
  TRYAGAIN: { isOutage: true, because: 'the keys are on two nodes while their slot moves' },
  MOVED: {
    isOutage: true,
    because: 'followed on a Cluster; a caller sees it when following has no end, or by a URL without +cluster',
  },
  ASK: { isOutage: true, because: 'as MOVED, while the slot moves' },
  UNBLOCKED: { isOutage: true, because: 'a blocked read was ended by a demotion, or by an operator; it took nothing' },
  // It cannot write now.
  OOM: { isOutage: true, because: 'memory is full and nothing may be evicted' },
  MISCONF: { isOutage: true, because: 'writes stopped because the disk refuses a snapshot or the append-only file' },
  NOREPLICAS: { isOutage: true, because: 'fewer replicas than min-replicas-to-write' },
  // It does not let this process in. A 503 is right: the shopper did nothing wrong, and a rotated password works a moment later.
  NOAUTH: { isOutage: true, because: 'the URL has no password and the server wants one' },
  WRONGPASS: { isOutage: true, because: 'the user or the password in the URL is wrong' },

  // The server works, and this user may not do this. Time heals nothing and a way around would hide it: it has to be seen.
  NOPERM: { isOutage: false, because: 'a right is missing in the ACL' },
  // Mistakes of the caller.
  ERR: { isOutage: false, because: 'the command or the script is wrong; see PHRASES for what has no word of its own' },
  WRONGTYPE: { isOutage: false, because: 'the key holds another type' },
  CROSSSLOT: { isOutage: false, because: 'the keys are of several slots' },
  NOSCRIPT: { isOutage: false, because: 'script.ts sends the source' },
  NOGROUP: { isOutage: false, because: 'the stream or its group is gone; the reader makes it again' },
  BUSYGROUP: { isOutage: false, because: 'the group exists' },
  BUSYKEY: { isOutage: false, because: 'RESTORE onto a key that exists' },
  NOPROTO: {
    isOutage: false,
    because: 'HELLO with a version that the server does not speak; ioredis goes on with RESP2',
  },
  EXECABORT: {
    isOutage: false,
    because: 'a command of the MULTI was refused: its own reply decides, see isRedisOutage',
  },
  // Of commands for operators, which a service never sends: they speak of the target or of the state that was asked for.
  IOERR: { isOutage: false, because: 'MIGRATE does not reach its target' },
  UNKILLABLE: { isOutage: false, because: 'SCRIPT KILL after the script has written' },
  NOTBUSY: { isOutage: false, because: 'SCRIPT KILL without a script' },
  INPROG: { isOutage: false, because: 'SENTINEL FAILOVER during another one' },
  NOGOODSLAVE: { isOutage: false, because: 'SENTINEL FAILOVER without a replica to promote' },
  NOMASTERLINK: { isOutage: false, because: 'PSYNC to a replica that has lost its master' },
}

/** Outages that are `ERR` and say the rest in words. */
const PHRASES = [
  /^ERR max number of clients/, // the connection was accepted only to say so
  /^ERR (?:Error running .*)?(?:Script|Function) killed by user/, // and it had not written, or it would be UNKILLABLE
]
/** What a script raises again arrives as `ERR user_script:1: OOM …`, and what EXEC is refused for as `EXECABORT …: BUSY …`. */
const WRAPPED = /^(?:ERR .*?\buser_(?:script|function): ?\d+:|EXECABORT .*? because of:) -?(?<word>[A-Z]{3,})\b/

/** The first word of an error reply, looked for inside of what wraps it: `OOM`, `READONLY`, `ERR`. */
export function replyWord(message: string): string {
  return WRAPPED.exec(message)?.groups?.word ?? /^[A-Z]+\b/.exec(message)?.[0] ?? ''
}

/** A key holds another type than its family declares. What that means, and whether the key may be replaced, is the pattern's to say. */
export function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError' && replyWord(error.message) === 'WRONGTYPE'
}

/**
 * Is Redis itself the reason, and not what was asked of it? This is what a circuit breaker counts and what a cache answers
 * by going around Redis. A WRONGTYPE or a bug in a script is no outage, and must not be treated as one.
 */
export function isRedisOutage(error: unknown): boolean {
  if (error instanceof RedisUnavailable || error instanceof OutcomeUnknown || error instanceof RedisOverloaded)
    return true
  if (!(error instanceof Error) || error.name !== 'ReplyError') return false
  const { message } = error
  if (REPLIES[replyWord(message)]?.isOutage || PHRASES.some((phrase) => phrase.test(message))) return true
  // A MULTI that was given up says why in the replies before: ioredis keeps them.
  const { previousErrors } = error as { previousErrors?: readonly unknown[] }
  return previousErrors?.some(isRedisOutage) ?? false
}
