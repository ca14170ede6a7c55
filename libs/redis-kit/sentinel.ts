/** A connection to the server that Sentinel calls the master. */
import { type RedisOptions, Redis as Server } from 'ioredis'
import { isForbidden } from './slots.ts'

interface Connector {
  updateSentinels(client: Server): Promise<void>
}

/** A Sentinel that does not tell of the other Sentinels is as good as one that does: it says who the master is. */
export function connectBySentinel(options: RedisOptions): Server {
  const redis = new Server(options)
  const { connector } = redis as unknown as { connector: Connector }
  const update = connector.updateSentinels.bind(connector)
  connector.updateSentinels = (client) =>
    update(client).catch((error) => {
      if (!isForbidden(error)) throw error
    })
  return redis
}
