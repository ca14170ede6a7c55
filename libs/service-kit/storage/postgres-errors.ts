/**
 * The errors of Postgres, by the one thing a caller has to know: what ends them?
 *
 *     outage   time, or a repair of the server: the same statement works then. HTTP 503, an event waits.
 *     setup    a person: a right, a table or a setting is missing. HTTP 500, because it has to be seen; an event waits all the same.
 *     caller   nothing: the statement or its data is wrong. HTTP 500, an event becomes a dead letter.
 *
 * By SQLSTATE: all five characters where they are listed, the class (the first two) otherwise. The classes are those of Postgres 18.
 * A refusal while connecting is an outage whatever its SQLSTATE, because no statement has been looked at: see `PostgresNotConnected`.
 */

/** There is no session, so nothing was executed. The cause says why: the server is away, or refuses this role, password or database. */
export class PostgresNotConnected extends Error {
  readonly code = 'POSTGRES_NOT_CONNECTED'
  override readonly name = 'PostgresNotConnected'

  constructor(cause: Error) {
    super(`no connection to Postgres: ${cause.message}`, { cause })
  }
}

export interface Verdict {
  is: 'outage' | 'setup' | 'caller'
  because: string
}

export const SQLSTATES: Record<string, Verdict> = {
  // The server, or the way to it.
  '08': { is: 'outage', because: 'the connection broke, or a pooler or the protocol refused it' },
  '28': {
    is: 'outage',
    because: 'the role may not log in or its password is wrong; a rotated one works a moment later',
  },
  '3D': { is: 'outage', because: 'the database is gone, renamed or being restored' },
  '53': { is: 'outage', because: 'out of connections, memory, disk, or a configured limit' },
  '57': {
    is: 'outage',
    because: 'an operator or a timeout ended it: shutdown, crash, start, dropped database, cancel',
  },
  '58': { is: 'outage', because: 'the operating system failed: a read or a write, or a file is missing' },
  F0: { is: 'outage', because: 'the configuration or the lock file of the server is broken' },
  XX: { is: 'outage', because: 'the server is damaged or has a bug: a corrupt page or index, an internal error' },
  '25006': { is: 'outage', because: 'closed for writes, or a standby' },
  '25P03': { is: 'outage', because: 'the transaction was idle for too long: this process was stalled' },
  '25P04': { is: 'outage', because: 'the transaction took too long' },
  // Contention, see isContention: the same works a moment later, and at any instance.
  '40': { is: 'outage', because: 'rolled back for the sake of another: serialization, deadlock, completion unknown' },
  '55P03': { is: 'outage', because: 'a lock was not free in time' },

  // The database is not set up as the code expects. A migration or a GRANT heals it; the data of a request or an event does not cause it.
  '26': { is: 'setup', because: 'a prepared statement is gone: a pooler gave the session to somebody else' },
  '3F': { is: 'setup', because: 'the schema does not exist' },
  '42501': { is: 'setup', because: 'a right is missing, as NOPERM of Redis' },
  '42P01': { is: 'setup', because: 'a table is missing: the migration has not run' },
  '42703': { is: 'setup', because: 'a column is missing, as 42P01' },
  '42704': { is: 'setup', because: 'a type or another object is missing, as 42P01' },
  '42883': { is: 'setup', because: 'a function or an operator is missing, as 42P01' },

  // The statement.
  '03': { is: 'caller', because: 'the statement is not complete' },
  '0A': { is: 'caller', because: 'a feature that the server does not have' },
  '0B': { is: 'caller', because: 'a transaction may not begin here' },
  '0F': { is: 'caller', because: 'a locator is invalid' },
  '0L': { is: 'caller', because: 'GRANT by a role that may not; no service grants' },
  '0P': { is: 'caller', because: 'SET ROLE to a role that does not exist; no service does' },
  '24': { is: 'caller', because: 'a cursor is in the wrong state' },
  '25': {
    is: 'caller',
    because: 'a transaction is in the wrong state: often the echo of an earlier error, which decides',
  },
  '2B': { is: 'caller', because: 'a role is still needed; no service drops roles' },
  '2D': { is: 'caller', because: 'a transaction may not end here' },
  '34': { is: 'caller', because: 'a cursor does not exist' },
  '3B': { is: 'caller', because: 'a savepoint does not exist' },
  '42': { is: 'caller', because: 'the statement is wrong: syntax, types, names' },
  '54': { is: 'caller', because: 'the statement is too large or too deep' },
  '55': { is: 'caller', because: 'the object is in the wrong state for this statement' },
  HV: { is: 'caller', because: 'a foreign table; the services have none' },
  // Its data, or code in the database.
  '40002': { is: 'caller', because: 'a deferred constraint refused the data' },
  '09': { is: 'caller', because: 'a trigger failed' },
  '0Z': { is: 'caller', because: 'GET STACKED DIAGNOSTICS outside of a handler' },
  '10': { is: 'caller', because: 'an SQL/XML query is wrong' },
  '20': { is: 'caller', because: 'a CASE of PL/pgSQL has no branch for the value' },
  '21': { is: 'caller', because: 'more rows than one' },
  '22': { is: 'caller', because: 'the value does not fit: range, text, division by zero' },
  '23': { is: 'caller', because: 'a constraint refused the data' },
  '27': { is: 'caller', because: 'a trigger changed the row that the statement changes' },
  '2F': { is: 'caller', because: 'an SQL function did what it may not' },
  '38': { is: 'caller', because: 'an external function failed' },
  '39': { is: 'caller', because: 'an external function was called in a wrong way' },
  '44': { is: 'caller', because: 'the row is outside of its view' },
  P0: { is: 'caller', because: 'PL/pgSQL raised an exception' },
  // They accompany a result and are no errors.
  '00': { is: 'caller', because: 'success' },
  '01': { is: 'caller', because: 'a warning' },
  '02': { is: 'caller', because: 'no data' },
}

/** Five characters, and at least one digit: EPIPE is an error of a socket. */
const SQLSTATE = /^(?=.*\d)[0-9A-Z]{5}$/

/** Undefined if it is no SQLSTATE. A class that is not listed speaks of the caller. */
export function verdictOn(code: unknown): Verdict['is'] | undefined {
  if (typeof code !== 'string' || !SQLSTATE.test(code) || isPrismaCode(code)) return undefined
  return (SQLSTATES[code] ?? SQLSTATES[code.slice(0, 2)])?.is ?? 'caller'
}

/** `P2024` and the like; the SQLSTATEs with a P in front are P0000 to P0004. */
const isPrismaCode = (code: string) => /^P[1-9]/.test(code)
