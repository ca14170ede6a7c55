/** A process that asks each of several limits as fast as it can, when its parent says so. */
import { setTimeout as sleep } from 'node:timers/promises'
import { closeRedis, connectRedis, type Redis, whenReady } from '../connection/connection.ts'
import type { Algorithm } from './algorithms.ts'
import { createRateLimit, rateLimitKeys } from './rate-limit.ts'

export interface SaturatorSetup {
  redisUrl: string
  namespace: string
  algorithms: readonly Algorithm[]
  limit: { count: number; periodMs: number }
  burst: number
  lengthMs: number
}
export interface Saturation {
  clockMs: number
  /** By algorithm, and of the control. */
  admitted: Record<string, number>
  denied: Record<string, number>
}

type Ask = () => Promise<boolean>

/** For the case that Redis or the machine is very slow. */
const MAX_MS = 30_000

/**
 * The control, a textbook's token bucket: refilled by the clock of the process that asks, in whole intervals, and written on each
 * request, admitted or not.
 */
const clientClockBucket = `
  local capacity, intervalMs, nowMs = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
  local stored = redis.call('HMGET', KEYS[1], 'tokens', 'refilledMs')
  local tokens, refilledMs = tonumber(stored[1] or capacity), tonumber(stored[2] or nowMs)
  local intervals = math.floor((nowMs - refilledMs) / intervalMs)
  if intervals ~= 0 then tokens, refilledMs = math.min(capacity, tokens + math.max(0, intervals)), nowMs end
  local isAllowed = tokens >= 1
  if isAllowed then tokens = tokens - 1 end
  redis.call('HSET', KEYS[1], 'tokens', tokens, 'refilledMs', string.format('%.0f', refilledMs))
  redis.call('EXPIRE', KEYS[1], 600)
  return isAllowed and 1 or 0`

if (import.meta.main) await obey(JSON.parse(process.argv[2] as string) as SaturatorSetup)

async function obey(setup: SaturatorSetup) {
  const redis = connectRedis(setup.redisUrl, { name: 'saturator', commandTimeoutMs: 20_000 })
  await whenReady(redis, 20_000)
  const asks = asksOf(redis, setup)
  process.on('message', async () => process.send?.(await saturate(asks, setup.lengthMs)))
  process.on('disconnect', () => closeRedis(redis))
  process.send?.('ready')
}

function asksOf(redis: Redis, { namespace, algorithms, limit, burst }: SaturatorSetup): Record<string, Ask> {
  const asks: Record<string, Ask> = {}
  for (const algorithm of algorithms) {
    const keys = rateLimitKeys(namespace, algorithm, 'cache', { algorithm })
    const isBucket = algorithm === 'gcra' || algorithm === 'token-bucket'
    const one = createRateLimit(redis, {
      keys,
      algorithm,
      limit,
      ...(isBucket && { burst }),
      onUnavailable: 'closed',
      deadlineMs: 20_000,
      maxKnownDenialMs: 0, // Redis decides each time
    })
    asks[algorithm] = async () => (await one.check('a')).allowed
  }
  const key = rateLimitKeys(namespace, 'control', 'cache').bucket.key('a')
  const intervalMs = limit.periodMs / limit.count
  asks.control = async () => (await redis.eval(clientClockBucket, 1, key, burst, intervalMs, Date.now())) === 1
  return asks
}

async function saturate(asks: Record<string, Ask>, lengthMs: number): Promise<Saturation> {
  const saturation: Saturation = { clockMs: Date.now(), admitted: {}, denied: {} }
  const startMs = performance.now()
  const hammer = async ([name, ask]: [string, Ask]) => {
    let [admitted, denied] = [0, 0]
    const isOver = () => performance.now() - startMs > (denied > 50 || name === 'control' ? lengthMs : MAX_MS)
    while (!isOver()) {
      if (await ask()) admitted += 1
      else denied += 1
      if (denied % 50 === 49) await sleep(1) // the others get their turn on this processor
    }
    saturation.admitted[name] = admitted
    saturation.denied[name] = denied
  }
  await Promise.all(Object.entries(asks).map(hammer))
  return saturation
}
