/** ioredis as its documentation has it, and with one change. */
import { Redis, type RedisOptions } from 'ioredis'

export function connectPlain(url: string, options: RedisOptions = {}): Redis {
  return new Redis(url, options)
}

/** As libs/redis-kit/connection/corking.ts does it. */
const MAX_COMMANDS = 32

/** One packet for up to 32 commands of one tick: see libs/redis-kit/connection/corking.ts, which is not exported. */
export function connectCorked(url: string): Redis {
  const redis = new Redis(url)
  const send = redis.sendCommand.bind(redis)
  let count = 0
  redis.sendCommand = (...args) => {
    const { stream } = redis
    if (!stream) return send(...args) // not connected yet
    if (count === 0) {
      stream.cork()
      process.nextTick(() => {
        count = 0
        stream.uncork()
      })
    } else if (count % MAX_COMMANDS === 0) {
      stream.uncork()
      stream.cork()
    }
    count += 1
    return send(...args)
  }
  return redis
}
