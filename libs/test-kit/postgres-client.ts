import pg from 'pg'

/** Works on a connection of its own, and closes it. A connection that breaks meanwhile rejects what is in flight, and ends no process. */
export async function withClient<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
