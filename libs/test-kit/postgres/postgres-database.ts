/** A service's database and the role that owns it, on a server of this machine. */
import type pg from 'pg'
import { withClient } from './postgres-client.ts'
import { makePassword } from './postgres-data.ts'

export interface DatabaseOwner {
  name: string
  /** @default a new one for each call */
  password?: string
}

/** Makes sure that there is a database of this name, and that its owner alone may connect. May be repeated. */
export async function createDatabase(serverUrl: string, name: string, owner?: DatabaseOwner): Promise<string> {
  return withClient(serverUrl, async (client) => {
    const database = client.escapeIdentifier(name)
    if (!owner) {
      await createUnlessThere(client, `CREATE DATABASE ${database}`)
      return Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href
    }
    const role = client.escapeIdentifier(owner.name)
    const password = owner.password ?? makePassword()
    await createUnlessThere(client, `CREATE ROLE ${role}`)
    await client.query(`ALTER ROLE ${role} LOGIN PASSWORD ${client.escapeLiteral(password)}`)
    await createUnlessThere(client, `CREATE DATABASE ${database} OWNER ${role}`)
    await client.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${database} FROM PUBLIC`)
    return urlOf({ port: Number(new URL(serverUrl).port), user: owner.name, password, database: name })
  })
}

async function createUnlessThere(client: pg.Client, statement: string): Promise<void> {
  try {
    await client.query(statement)
  } catch (error) {
    const { code } = error as { code?: string }
    // duplicate database, duplicate role, and what two sessions creating the same at once are told instead
    if (code !== '42P04' && code !== '42710' && code !== '23505') throw error
  }
}

/** With every part escaped: a password may hold anything. */
export function urlOf({
  port,
  user,
  password,
  database,
}: {
  port: number
  user: string
  password: string
  database: string
}) {
  const [name, secret, path] = [user, password, database].map(encodeURIComponent)
  return `postgresql://${name}:${secret}@127.0.0.1:${port}/${path}`
}
