/** A connection to the server that Sentinel calls the master. */
import { type RedisOptions, Redis as Server } from 'ioredis'
import { isForbidden } from './slots.ts'

interface Connector {
  connectToSentinel(endpoint: object, options?: object): Server
  updateSentinels(client: Server): Promise<void>
}

/** A Sentinel that does not tell of the other Sentinels is as good as one that does: it says who the master is. */
export function connectBySentinel(options: RedisOptions): Server {
  const redis = new Server({ ...options, lazyConnect: true }) // or it dials before we are there
  const { connector } = redis as unknown as { connector: Connector }
  const connectToSentinel = connector.connectToSentinel.bind(connector)
  const update = connector.updateSentinels.bind(connector)
  // ioredis drops the reason (a certificate, a refused connection) and says that the connection is closed.
  connector.connectToSentinel = (endpoint, override) => {
    const sentinel = connectToSentinel(endpoint, override)
    sentinel.on('error', (error) => redis.emit('sentinelError', error))
    return sentinel
  }
  connector.updateSentinels = (client) =>
    update(client).catch((error) => {
      if (!isForbidden(error)) throw error
    })
  redis.connect().catch(() => {}) // told by `error`, and tried again
  return redis
}
