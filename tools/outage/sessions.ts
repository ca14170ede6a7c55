/** How many connections an instance has in Postgres, looked at from there. */
import { setTimeout as elapse } from 'node:timers/promises'
import { createClient } from '@shop/service-kit/storage/database'

const everyMs = 50

export interface Sessions {
  /** The most that were seen since the start: connected, and at work at once. */
  most(): { connectedCount: number; activeCount: number; lookCount: number }
  stop(): Promise<void>
}

/** By a connection of its own, which does not count: it has another name. */
export async function watchSessions(databaseUrl: string, applicationName: string): Promise<Sessions> {
  const client = createClient(databaseUrl, { name: 'watcher' })
  await client.connect()
  const most = { connectedCount: 0, activeCount: 0, lookCount: 0 }
  let isStopped = false
  const watching = watch()
  return {
    most: () => ({ ...most }),
    async stop() {
      isStopped = true
      await watching.finally(() => client.end())
    },
  }

  async function watch() {
    while (!isStopped) {
      const { rows } = await client.query<{ connected: number; active: number }>(
        `SELECT count(*)::int AS connected, count(*) FILTER (WHERE state = 'active')::int AS active
         FROM pg_stat_activity WHERE application_name = $1`,
        [applicationName],
      )
      most.connectedCount = Math.max(most.connectedCount, rows[0]?.connected ?? 0)
      most.activeCount = Math.max(most.activeCount, rows[0]?.active ?? 0)
      most.lookCount += 1
      await elapse(everyMs)
    }
  }
}
