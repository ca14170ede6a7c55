import pg from 'pg'

/** In place of PGSSLMODE, PGOPTIONS and the like of the caller's shell, which belong to another server. */
const ownSettings = {
  ssl: false,
  sslnegotiation: 'postgres',
  client_encoding: 'UTF8',
  options: '-c search_path=public',
} as const

/** Works on a connection of its own, and closes it. A connection that breaks meanwhile rejects what is in flight, and ends no process. */
export async function withClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ ...ownSettings, connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
