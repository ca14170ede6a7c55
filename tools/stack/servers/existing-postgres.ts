/**
 * A Postgres that exists already: a database and a role per service are made on it, with names that no other program has
 * and with passwords of this shop. Each finding is one sentence.
 */
import type pg from 'pg'
import { connectPostgres, parsePostgresUrl } from '../../command-line/postgres-client.ts'
import type { DatabaseUrls, Stage } from '../stage.ts'

const option = '--postgres'
/** The tests run on 18; nothing of the shop needs more than this. */
const oldestMajor = 15

/** Resolves to a URL per service. Throws with the option's name, what was found and what to do. */
export async function usePostgres(
  url: string,
  services: readonly (keyof DatabaseUrls)[],
  { secrets }: Stage,
): Promise<{ urls: DatabaseUrls; part?: undefined }> {
  const how = { source: option, applicationName: 'demo', defaultDatabase: 'postgres' }
  const server = parsePostgresUrl(url, how)
  const client = await connectPostgres(url, how)
  try {
    await requireVersionAndRights(client, server)
    const urls: Partial<DatabaseUrls> = {}
    for (const service of services)
      urls[service] = await makeDatabase(client, server, service, secrets.databasePassword)
    return { urls: urls as DatabaseUrls }
  } finally {
    await client.end()
  }
}

interface Rights {
  version: string
  canCreateDatabases: boolean
  canCreateRoles: boolean
}

async function requireVersionAndRights(client: pg.Client, server: URL): Promise<void> {
  const { rows } = await client.query<Rights>(
    `SELECT current_setting('server_version') AS version, rolsuper OR rolcreatedb AS "canCreateDatabases",
            rolsuper OR rolcreaterole AS "canCreateRoles" FROM pg_roles WHERE rolname = current_user`,
  )
  const [found] = rows
  const place = `${option}: the Postgres at ${server.host}`
  const user = decodeURIComponent(server.username)
  if (found === undefined) throw new Error(`${place} has no role "${user}": use one of its roles.`)
  if (Number.parseInt(found.version, 10) < oldestMajor) {
    throw new Error(`${place} is version ${found.version}: the shop needs ${oldestMajor} or newer.`)
  }
  if (!found.canCreateDatabases || !found.canCreateRoles) {
    throw new Error(
      `${place} does not allow "${user}" to create databases and roles: run ALTER ROLE "${user}" CREATEDB CREATEROLE.`,
    )
  }
}

/** May be repeated: what is there stays, and gets the password of this shop. */
async function makeDatabase(client: pg.Client, server: URL, service: string, password: string): Promise<string> {
  const name = `redis_shop_${service}`
  const identifier = client.escapeIdentifier(name)
  await unlessThere(client, `CREATE ROLE ${identifier}`)
  await client.query(`ALTER ROLE ${identifier} LOGIN PASSWORD ${client.escapeLiteral(password)}`)
  // A role that is not a superuser may give a database only to a role that it is a member of.
  await client.query(`GRANT ${identifier} TO CURRENT_USER`)
  await unlessThere(client, `CREATE DATABASE ${identifier} OWNER ${identifier} ENCODING 'UTF8' TEMPLATE template0`)
  await client.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${identifier} FROM PUBLIC`)
  return Object.assign(new URL(server), { username: name, password, pathname: `/${name}` }).href
}

async function unlessThere(client: pg.Client, statement: string): Promise<void> {
  try {
    await client.query(statement)
  } catch (error) {
    const { code } = error as { code?: string }
    // duplicate database, duplicate role
    if (code !== '42P04' && code !== '42710') throw error
  }
}
