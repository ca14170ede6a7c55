/** Databases and their roles, before they are migrated: those of a service that is new are made, and passwords are what the URLs say. */
import { createDatabase } from '@shop/test-kit/postgres-database'
import { unreachable } from '../command-line/postgres-client.ts'

/** The server's own user is refused: everything else would be refused as well. */
const wrongPassword = '28P01'

const advice = `Postgres refuses the administrator's password. Its databases are older than the volume \`secrets\`, which was removed or replaced.
To keep the databases, give them the new passwords:
  docker compose exec postgres psql -f /run/shop/password.sql && docker compose up -d
To start with empty ones: docker compose down -v && docker compose up -d`

/**
 * May be repeated. A database that is not declared any more stays as it is.
 * @param adminUrl of a role that may create databases and roles
 * @param databaseUrls each with the name, owner and password that the database is to have
 */
export async function ensureDatabases(adminUrl: string, databaseUrls: readonly string[]): Promise<void> {
  for (const databaseUrl of databaseUrls) {
    const { pathname, username, password } = new URL(databaseUrl)
    const [database = '', name = '', secret = ''] = [pathname.slice(1), username, password].map(decodeURIComponent)
    if (!database || !name || !secret) throw new Error('a database URL must name a database, a user and a password')
    await createDatabase(adminUrl, database, { name, password: secret }).catch((error: Error & { code?: string }) => {
      if (error.code === wrongPassword) throw new Error(advice, { cause: error })
      throw 'syscall' in error ? unreachable('POSTGRES_ADMIN_URL', new URL(adminUrl), error) : error
    })
  }
}
