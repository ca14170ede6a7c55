/**
 * What ioredis itself sends while it sets up a connection: HELLO (or AUTH), CLIENT SETNAME, READONLY to a replica, INFO and
 * CLUSTER INFO. A server that answers PING and serves keys is ready, whatever else it forbids (NOPERM) or does not know
 * (rename-command, proxies). None of these answers is needed. Only a server that cannot serve yet, or that refuses the login,
 * keeps a connection waiting.
 */
import { type Command, type Redis as Node, ReplyError } from 'ioredis'
import { isRedisOutage } from '../../errors.ts'
import { withoutQuotes } from './diagnosis.ts'

/**
 * Is this ioredis setting up the connection? Then it cannot wait for the connection to become ready. By its arguments too: a
 * caller's own HELLO or CLIENT in that moment is not one, and what is equal to ioredis' changes nothing.
 */
export function isHandshake({ status, options }: Node, { name, args }: Command): boolean {
  if (status !== 'connect') return false
  const { username, password, connectionName, readOnly } = options
  const given = args.map(String)
  const isGiven = (...expected: (string | null | undefined)[]) =>
    given.length === expected.length && given.every((argument, index) => argument === expected[index])
  switch (name) {
    case 'hello':
      return isGiven('3') || isGiven('3', 'AUTH', username || 'default', password)
    case 'auth':
      return isGiven(password) || isGiven(username, password)
    case 'client':
      return isGiven('setname', connectionName)
    case 'info':
      return isGiven()
    case 'readonly':
      return readOnly === true
    default:
      return false
  }
}

const TENDED = new Set(['auth', 'cluster', 'hello', 'info'])

/** Makes ioredis' own command harmless when it fails. */
export function tendOwnCommand(command: Command): void {
  // ioredis does not listen to all of them, and a lost connection rejects each: that would end the process.
  command.promise.catch(() => {})
  const { name, reject } = command
  if (!TENDED.has(name)) return
  command.reject = (error) => {
    // Valkey 9 says NOAUTH, and not that the command is unknown, to a client that has not logged in. AUTH is what helps then.
    const isUnknownHello = command.args.length > 1 && /^NOAUTH/.test(error.message)
    const isRefused = error instanceof ReplyError && (!isRedisOutage(error) || (name === 'hello' && isUnknownHello))
    // It asks INFO whether the server is still loading, and CLUSTER INFO whether all slots are served. Without the right to ask,
    // the first command shows it.
    if ((name === 'info' || name === 'cluster') && isRefused) command.resolve(Buffer.alloc(0))
    else if (name === 'hello' && isRefused) reject(withoutHello(error))
    else reject(error instanceof ReplyError ? withoutArguments(error) : error)
  }
}

/** The words at which ioredis goes on with RESP2 and AUTH. It knows those of Redis, and not those of a proxy or of an ACL. */
function withoutHello({ message }: Error): Error {
  return new Error(`NOPROTO the server refuses HELLO: ${withoutQuotes(message)}`)
}

/** ioredis attaches the arguments, and Redis quotes those of an unknown command: the password must not get into a log that way. */
function withoutArguments(error: Error): Error {
  error.message = withoutQuotes(error.message)
  return Object.assign(error, { command: { name: 'auth', args: [] } })
}
