/** A connection of a tool to Postgres. Every reason for having none is one sentence, without the URL: it holds a password. */
import { createClient, unlimited } from '@shop/service-kit/storage/database'
import type pg from 'pg'

const connectTimeoutMs = 5_000

export interface PostgresClientOptions {
  /** Where the URL came from: a variable or an option. Begins each sentence. */
  source: string
  /** Seen in pg_stat_activity. */
  applicationName: string
  /** When the URL names no database. @default it must name one */
  defaultDatabase?: string
}

/** Rejects with what was found and what to do. Close it by `end()`. */
export async function connectPostgres(url: string, options: PostgresClientOptions): Promise<pg.Client> {
  const { source, applicationName } = options
  const server = parsePostgresUrl(url, options)
  const client = createClient(server.href, { name: applicationName, connectTimeoutMs, ...unlimited })
  try {
    await client.connect()
    return client
  } catch (error) {
    throw unreachable(source, server, error)
  }
}

export function unreachable(source: string, server: URL, error: unknown): Error {
  return new Error(`${source}: the Postgres at ${server.host} ${whyNot(error, server)}`, { cause: error })
}

export function parsePostgresUrl(url: string, { source, defaultDatabase }: PostgresClientOptions): URL {
  const parsed = URL.parse(url)
  const isPostgres = parsed?.protocol === 'postgres:' || parsed?.protocol === 'postgresql:'
  if (parsed === null || !isPostgres || parsed.hostname === '') {
    const found =
      parsed === null || parsed.protocol.length > 20 ? 'it cannot be parsed' : `it begins with ${parsed.protocol}`
    throw new Error(
      `${source} is not the URL of a Postgres (${found}): write it like postgres://user:password@host:5432/name.`,
    )
  }
  if (parsed.pathname.length > 1) return parsed
  if (defaultDatabase === undefined) {
    throw new Error(`${source} names no database: add /name after host and port.`)
  }
  return Object.assign(parsed, { pathname: `/${defaultDatabase}` })
}

function whyNot(error: unknown, server: URL): string {
  const { code, message } = error as NodeJS.ErrnoException
  const user = decodeURIComponent(server.username)
  const database = server.pathname.slice(1)
  if (code === '28P01') {
    return `refuses the password of "${user}": correct it; special characters must be percent-encoded.`
  }
  if (code === '28000') {
    return `refuses the user "${user}" (${message}): correct the user, or add ?sslmode=require if it needs TLS.`
  }
  if (code === '42501')
    return `refuses "${user}" access to the database "${database}": name the owner of that database.`
  if (code === '3D000') return `has no database "${database}": create it, or name one that exists.`
  if (code === '53300') return 'has no free connection: raise max_connections, or close connections.'
  if (code === '57P03') return 'is still starting: try again in a moment.'
  if (/ENOTFOUND|EAI_AGAIN/.test(`${code}`))
    return 'has a host name that cannot be resolved: correct the host in the URL.'
  if (code === 'ECONNREFUSED') return 'refuses the connection: start the server there, or correct host and port.'
  if (/does not support SSL/.test(message)) return 'has no TLS: remove sslmode from the URL.'
  if (/certificate/i.test(message)) {
    return `has a certificate that is not trusted (${message}): add &sslrootcert=/path/ca.pem to the URL.`
  }
  return `does not answer (${message.split('\n', 1)[0] || code}): correct host and port.`
}
