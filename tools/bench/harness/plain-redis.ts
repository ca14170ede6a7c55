/** ioredis as its documentation has it, and with one change. */
import { Redis, type RedisOptions } from 'ioredis'

export function connectPlain(url: string, options: RedisOptions = {}): Redis {
  return new Redis(url, options)
}

/** What is written within one tick leaves in one packet: see libs/redis-kit/connection/corking.ts, which is not to be had by itself. */
export function connectCorked(url: string): Redis {
  const redis = new Redis(url)
  const send = redis.sendCommand.bind(redis)
  let isCorked = false
  redis.sendCommand = (...args) => {
    const { stream } = redis
    if (!isCorked && stream) {
      isCorked = true
      stream.cork()
      process.nextTick(() => {
        isCorked = false
        stream.uncork()
      })
    }
    return send(...args)
  }
  return redis
}
