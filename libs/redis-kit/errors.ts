/**
 * How a command may fail, by the one thing its caller has to know: was it executed?
 *
 *     RedisUnavailable   no      try again as you like, or answer without Redis
 *     RedisOverloaded    no      this process has too much in flight already: shed, do not retry
 *     OutcomeUnknown     maybe   it was sent and no answer came: look before you repeat it
 *
 * A reply of the server that is an error (WRONGTYPE, NOSCRIPT, OOM, …) stays what ioredis makes of it, a ReplyError: the
 * server answered, and said that it did not do it.
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
  /** Keys, or channels, of the command: the first three. */
  keys: readonly string[]
  /** The server's reply. */
  cause: unknown
}

/**
 * The ACL refuses a command, a key or a channel (NOPERM, in scripts too). An error reply like others, and no outage: time cures nothing.
 * Usually a key that no `keyFamily` declares.
 */
export class RedisNotPermitted extends Error {
  readonly code = 'REDIS_NOT_PERMITTED'
  override readonly name = 'ReplyError'
  readonly user: string
  readonly missing: NotPermitted['missing']
  readonly command?: string
  readonly script?: string
  readonly keys: readonly string[]

  constructor({ user, missing, command, script, keys, cause }: NotPermitted) {
    const what = command?.toUpperCase() ?? 'a command'
    const where = `${what}${script ? ` in ${script}` : ''}`
    const which = keys.length > 0 ? keys.join(', ') : 'a key that the script names itself'
    const refused =
      missing === 'command' ? `run ${where}${keys.length > 0 ? ` (${which})` : ''}` : `use ${which} with ${where}`
    super(`NOPERM the Redis user ${user} may not ${refused}`, { cause })
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

/** Replies that speak of the server's state and not of the command: the same command is fine a moment later. */
const OUTAGE_REPLIES = ['LOADING', 'READONLY', 'CLUSTERDOWN', 'MASTERDOWN', 'TRYAGAIN', 'OOM']
/** Not only at the start: an error inside a script reaches us as `ERR Error running script …: -READONLY …` on some servers. */
const OUTAGE_REPLY = new RegExp(`\\b(?:${OUTAGE_REPLIES.join('|')})\\b`)

/**
 * Is Redis itself the reason, and not what was asked of it? This is what a circuit breaker counts and what a cache answers
 * by going around Redis. A WRONGTYPE or a bug in a script is no outage, and must not be treated as one.
 */
export function isRedisOutage(error: unknown): boolean {
  if (error instanceof RedisUnavailable || error instanceof OutcomeUnknown || error instanceof RedisOverloaded)
    return true
  return error instanceof Error && error.name === 'ReplyError' && OUTAGE_REPLY.test(error.message)
}
