/** A decision that admits, asked of Redis. */
import type { Redis } from 'ioredis'
import { closedLoop, pickerOf } from '../harness/closed-loop.ts'
import { connectPlain } from '../harness/plain-redis.ts'
import { closedLoopColumns, type Running, type Table } from '../harness/suite.ts'
import { raw, rawCorked, textbook } from './by-hand.ts'
import { contendersOf, ids, type Limit, type Limiting, type Servers, useUp } from './limiter.ts'
import { ours } from './ours.ts'
import { fastifyCorked, peers } from './peers.ts'

/** More than the share of one id of what a fast machine decides, so that all are admitted. */
const limit: Limit = { count: 1_000, periodMs: 60_000 }

/** Throws when one of the ids was denied: a denial costs less than an admission. */
async function deciding({ id, open }: Limiting, { redisUrl }: Servers): Promise<Running> {
  const limiter = await open({ redisUrl, limit, space: `decision-${id}` })
  await useUp(limiter, limit, 'used-up')
  const pick = pickerOf(ids)
  async function takeOne() {
    if (!(await limiter.take(pick()))) throw new Error(`${id} denied an id that is far from its limit`)
  }
  const redis = connectPlain(redisUrl)
  return {
    async measure(plan) {
      const before = await cpuSecondsOf(redis)
      const startedMs = performance.now()
      const sample = await closedLoop(takeOne, plan)
      const count = ((sample.perSecond as number) * (performance.now() - startedMs)) / 1000
      return { ...sample, serverUs: (((await cpuSecondsOf(redis)) - before) / count) * 1e6 }
    },
    async close() {
      await Promise.all([limiter.close(), redis.quit()])
    },
  }
}

/** CPU time of the thread that executes commands. One contender works at a time, so all of it belongs to that contender. */
async function cpuSecondsOf(redis: Redis): Promise<number> {
  const info = await redis.info('cpu')
  const seconds = (name: string) => Number(new RegExp(`^used_cpu_${name}_main_thread:(.+)`, 'm').exec(info)?.[1])
  return seconds('user') + seconds('sys')
}

export const decision: Table<Servers> = {
  id: 'decision',
  title: 'Rate limit: a decision of Redis',
  note:
    '64 callers, 10,000 ids at random, 1,000 per minute for each; all are admitted. Each contender has first used one id up and was ' +
    'denied. @upstash/ratelimit runs over ioredis and not over HTTP. The log keeps an entry for each unit of the last minute.',
  columns: [...closedLoopColumns, { metric: 'serverUs', label: 'CPU/op of Redis', format: 'us' }],
  ratios: [
    { metric: 'perSecond', to: 'raw', label: 'x raw Lua' },
    { metric: 'perSecond', to: 'gcra', label: 'x gcra' },
    { metric: 'cpuUs', to: 'gcra', label: 'CPU x gcra' },
    { metric: 'serverUs', to: 'gcra', label: 'CPU of Redis x gcra' },
  ],
  contenders: contendersOf([...ours, rawCorked, raw, fastifyCorked, textbook, ...peers], deciding),
  goals: [
    {
      text: 'gcra at least 1.2 x every library',
      metric: 'perSecond',
      contender: 'gcra',
      than: peers.map(({ id }) => id),
      atLeast: 1.2,
    },
  ],
}
