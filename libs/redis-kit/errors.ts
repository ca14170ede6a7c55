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
