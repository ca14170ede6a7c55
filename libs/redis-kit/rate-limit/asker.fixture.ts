/** A process that asks two limits together, as its parent says: what it knows of denials it knows alone. */
import { closeRedis, connectRedis, whenReady } from '../connection/connection.ts'
import { createRateLimits, type JointDecision } from './dimensions.ts'
import { type Charge, createRateLimit, rateLimitKeys } from './rate-limit.ts'

export interface AskerSetup {
  redisUrl: string
  namespace: string
  /** Bursts that do not come back while a test runs. */
  addressBurst: number
  userBurst: number
}
export type AskerOrder =
  | { order: 'check'; times: number; how: 'in a row' | 'in parallel' }
  | { order: 'refund'; id: string; charge: Charge }
export interface AskerReport {
  admitted: number
  refused: number
  degraded: number
  refundedNow?: boolean
}

const patience = { deadlineMs: 20_000 }

export function limitsOf(redis: ReturnType<typeof connectRedis>, setup: Omit<AskerSetup, 'redisUrl'>) {
  const limit = (name: string, burst: number) =>
    createRateLimit(redis, {
      keys: rateLimitKeys(setup.namespace, name, 'cache'),
      limit: { count: burst, periodMs: burst * 600_000 },
      burst,
      onUnavailable: 'closed',
      maxKnownDenialMs: 0, // Redis refuses each time
      ...patience,
    })
  return { address: limit('address', setup.addressBurst), user: limit('user', setup.userBurst) }
}

export async function ask(limits: ReturnType<typeof limitsOf>, times: number, how: 'in a row' | 'in parallel') {
  const joint = createRateLimits(patience)
  const questions = [
    { name: 'address', limit: limits.address, id: 'a' },
    { name: 'user', limit: limits.user, id: 'u' },
  ]
  const decisions: JointDecision[] = []
  if (how === 'in a row') for (let i = 0; i < times; i++) decisions.push(await joint.check(questions))
  else decisions.push(...(await Promise.all(Array.from({ length: times }, () => joint.check(questions)))))
  return {
    admitted: decisions.filter(({ allowed }) => allowed).length,
    refused: decisions.filter(({ allowed }) => !allowed).length,
    degraded: decisions.filter((one) => one.decisions.some(({ decision }) => decision.degraded)).length,
  } satisfies AskerReport
}

if (import.meta.main) await obey(JSON.parse(process.argv[2] as string) as AskerSetup)

async function obey(setup: AskerSetup) {
  const redis = connectRedis(setup.redisUrl, { name: 'asker', commandTimeoutMs: 20_000 })
  await whenReady(redis, 20_000)
  const limits = limitsOf(redis, setup)
  process.on('message', async (order: AskerOrder) => {
    if (order.order === 'check') process.send?.(await ask(limits, order.times, order.how))
    else process.send?.({ refundedNow: await limits.address.refund(order.id, order.charge) })
  })
  process.on('disconnect', () => closeRedis(redis))
  process.send?.('ready')
}
