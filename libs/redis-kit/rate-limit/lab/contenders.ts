/** The contenders of the lab: a limiter of each algorithm under keys of its own, and the reference that its decisions must agree with. */
import type { Redis } from '../../connection/connection.ts'
import { RedisUnavailable } from '../../errors.ts'
import type { KeyFamily } from '../../keys.ts'
import { createLeakyQueue, leakyQueueKeys } from '../queue/queue.ts'
import { type Algorithm, createRateLimit, type RateLimitKeys, rateLimitKeys } from '../rate-limit.ts'
import { LAB_BURST, LAB_LIMIT } from './experiments.ts'
import { bucketModel, fixedWindowModel, logModel, slidingCounterModel } from './models.ts'
import type { Reference } from './outcome.ts'
import type { Answer, Contender } from './schedule.ts'

export type LabAlgorithm = Algorithm | 'leaky-queue'

/** The keys of all experiments. Each run has an id of its own, so that two runs do not meet. */
export interface LabKeys {
  limits: Record<Algorithm, RateLimitKeys>
  queue: KeyFamily
}

/** The longest period of the keys: no key lives longer than two of them, even if the process dies. The limit needs a second. */
const MAX_PERIOD_MS = 60_000
/** Late on a busy machine is late, and no outage. */
const DEADLINE_MS = 5_000

export const references: Record<LabAlgorithm, Reference> = {
  'fixed-window': { model: () => fixedWindowModel(LAB_LIMIT) },
  'sliding-window-log': { model: () => logModel(LAB_LIMIT) },
  'sliding-window-counter': { model: () => slidingCounterModel(LAB_LIMIT) },
  'token-bucket': { model: () => bucketModel(LAB_LIMIT, LAB_BURST) },
  gcra: { model: () => bucketModel(LAB_LIMIT, LAB_BURST) },
  'leaky-queue': {
    model: () => bucketModel(LAB_LIMIT, LAB_BURST),
    releaseIntervalMs: LAB_LIMIT.periodMs / LAB_LIMIT.count,
  },
}

/** For the process that runs experiments to declare: `<service>:rate-limit:gcra:{<id>}` and so on. */
export function labKeys(service: string): LabKeys {
  const keysOf = (algorithm: Algorithm) =>
    rateLimitKeys(service, algorithm, 'cache', { algorithm, maxPeriodMs: MAX_PERIOD_MS })
  return {
    limits: {
      'fixed-window': keysOf('fixed-window'),
      'sliding-window-log': keysOf('sliding-window-log'),
      'sliding-window-counter': keysOf('sliding-window-counter'),
      'token-bucket': keysOf('token-bucket'),
      gcra: keysOf('gcra'),
    },
    queue: leakyQueueKeys(service, 'lab', 'cache', { maxBacklogMs: MAX_PERIOD_MS }),
  }
}

/** One of each, in the order in which a page shows them: windows, buckets, queue. */
export function createContenders(redis: Redis, keys: LabKeys, id: string): LabContender[] {
  const algorithms = ['fixed-window', 'sliding-window-log', 'sliding-window-counter', 'token-bucket', 'gcra'] as const
  return [
    ...algorithms.map((algorithm) => limiterOf(redis, { algorithm, keys: keys.limits[algorithm], id })),
    queueOf(redis, keys.queue, id),
  ]
}

export interface LabContender extends Contender<LabAlgorithm> {
  key: string
}

interface LimiterOptions {
  algorithm: Algorithm
  keys: RateLimitKeys
  id: string
}

function limiterOf(redis: Redis, { algorithm, keys, id }: LimiterOptions): LabContender {
  const outage = createOutage()
  const limit = createRateLimit(redis, {
    keys,
    algorithm,
    limit: LAB_LIMIT,
    burst: LAB_BURST,
    onUnavailable: 'closed',
    deadlineMs: DEADLINE_MS,
    maxLocalIds: 0, // a denial that this process knows would not be asked of Redis
    onDegraded: outage.note,
  })
  const ask = async () => outage.answerOf({ ...(await limit.check(id)), delayMs: 0 })
  return { name: algorithm, key: keys.bucket.key(id), ask }
}

function queueOf(redis: Redis, keys: KeyFamily, id: string): LabContender {
  const outage = createOutage()
  const queue = createLeakyQueue(redis, {
    keys,
    limit: LAB_LIMIT,
    capacity: LAB_BURST - 1, // one has its slot at once
    onUnavailable: 'closed',
    deadlineMs: DEADLINE_MS,
    onDegraded: outage.note,
  })
  return { name: 'leaky-queue', key: keys.key(id), ask: async () => outage.answerOf(await queue.reserve(id)) }
}

interface Decided {
  allowed: boolean
  degraded: boolean
  delayMs: number
}

/** A decision without Redis shows nothing: it becomes the error that it was made of. */
function createOutage() {
  let reason: unknown
  return {
    note(error: unknown) {
      reason = error
    },
    answerOf({ allowed, degraded, delayMs }: Decided): Answer {
      if (degraded) throw new RedisUnavailable(`no decision from Redis: ${reason}`, { cause: reason })
      return { isAdmitted: allowed, delayMs }
    },
  }
}
