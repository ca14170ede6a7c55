/**
 * Why there is no connection: one word that a program can act on, and the server's own words for people. ioredis wraps the reason
 * (a Cluster in "Failed to refresh slots cache", a Sentinel in "All sentinels are unreachable"), so it is looked for inside.
 */
import { replyWord } from '../../errors.ts'

/** A reply's own word (WRONGPASS, NOAUTH, LOADING …), or one of these. */
export type ReasonCode =
  | 'UNREACHABLE' // refused, no route, no answer
  | 'UNKNOWN_HOST'
  | 'CLOSED' // it was there, and the connection ended
  | 'CERTIFICATE'
  | 'NO_TLS' // rediss:// to a port that does not speak TLS
  | 'TLS_EXPECTED' // redis:// to a port that does
  | 'NO_CLUSTER'
  | 'NO_SUCH_MASTER'
  | 'TOO_MANY_CLIENTS'
  | 'FAILED'
  | (string & {})

export interface Diagnosis {
  code: ReasonCode
  /** The server's, or the system's, own words, without credentials. */
  reason: string
}

const MAX_DEPTH = 6
/** In order: the first that matches says it. */
const BY_MESSAGE: [RegExp, ReasonCode][] = [
  [/cluster support disabled/i, 'NO_CLUSTER'],
  [/no such master|invalid reply: null/i, 'NO_SUCH_MASTER'],
  [/max number of clients/i, 'TOO_MANY_CLIENTS'],
  [/unknown RESP type|protocol error/i, 'TLS_EXPECTED'],
  [/before secure TLS connection|wrong version number|packet length too long|EPROTO/i, 'NO_TLS'],
  [/certificate|self-signed|altname/i, 'CERTIFICATE'],
  [/ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|^ timeout$/, 'UNREACHABLE'],
  [/ENOTFOUND|EAI_AGAIN/, 'UNKNOWN_HOST'],
  [/ECONNRESET|EPIPE|connection is closed|closed the connection|socket timeout/i, 'CLOSED'],
]

/** ioredis goes through its list of Sentinels once more after each attempt, and says at its end that none answered: none was asked. */
export function saysNothing(error: Error): boolean {
  return /^All sentinels are unreachable\.(?!.*Last error)/.test(error.message) && error.cause === undefined
}

/** The most telling of an error and everything that it was caused by. */
export function diagnose(error: unknown): Diagnosis {
  let best: Diagnosis | undefined
  for (const { message, code } of withCauses(error)) {
    const found = codeOf(`${code ?? ''} ${message}`, message)
    if (!best || best.code === 'FAILED' || (found !== 'FAILED' && found !== 'CLOSED'))
      best = { code: found, reason: tidied(message) }
  }
  return best ?? { code: 'FAILED', reason: String(error) }
}

function codeOf(text: string, message: string): ReasonCode {
  const known = BY_MESSAGE.find(([pattern]) => pattern.test(text))?.[1]
  if (known) return known
  const word = replyWord(message.replace(/^.*? because (?=[A-Z]+ )/, ''))
  return word === '' || word === 'ERR' ? 'FAILED' : word
}

type Failure = Error & { code?: string; lastNodeError?: unknown; errors?: readonly unknown[] }

function* withCauses(error: unknown, depth = 0): Generator<Failure> {
  if (!(error instanceof Error) || depth === MAX_DEPTH) return
  const { cause, lastNodeError, errors = [] } = error as Failure
  // An AggregateError says nothing itself: a name with several addresses was tried at all of them.
  if (error.message) yield error as Failure
  for (const inner of [cause, lastNodeError, ...errors]) yield* withCauses(inner, depth + 1)
}

/** Without the pause, which is another one each time, without advice for users of ioredis, and without what a server quotes. */
function tidied(message: string): string {
  return withoutQuotes(message)
    .replace(/All sentinels are unreachable\..*?(?:Last error: |$)/, 'no Sentinel answers: ')
    .replace(/[.:]? Please report this\.?|; if the root CA is installed locally.*$/i, '')
    .replace(/[:.\s]+$/, '')
}

/** Redis quotes the arguments of an unknown command: with AUTH and HELLO, the password. */
export const withoutQuotes = (message: string): string => message.replace(/,? with args beginning with:.*$/is, '')
