/** A hot id that is denied, again and again: by Redis, or in the process that knows the denial. */
import { closedLoop } from '../harness/closed-loop.ts'
import { closedLoopColumns, type Running, type Table } from '../harness/suite.ts'
import { raw, textbook } from './by-hand.ts'
import { contendersOf, type Limit, type Limiting, type Servers, useUp } from './limiter.ts'
import { ours } from './ours.ts'
import { express, fastify, flexible, flexibleBlocking, upstash } from './peers.ts'

/** No unit comes back while it is measured. */
const limit: Limit = { count: 10, periodMs: 24 * 3_600_000 }
const hot = 'hot'

/** Looking at the clock costs as much as a denial in this process. */
const inProcess = new Set([...ours, flexibleBlocking, ...upstash].map(({ id }) => id))

async function denying({ id, open }: Limiting, { redisUrl }: Servers): Promise<Running> {
  const limiter = await open({ redisUrl, limit, space: `denied-${id}` })
  await useUp(limiter, limit, hot)
  async function takeOne() {
    if (await limiter.take(hot)) throw new Error(`${id} admitted an id that is used up`)
  }
  return {
    measure: (plan) => closedLoop(takeOne, plan, { sampleEvery: inProcess.has(id) ? 128 : 1 }),
    close: async () => void (await limiter.close()),
  }
}

export const denied: Table<Servers> = {
  id: 'denied',
  title: 'Rate limit: an id that is denied again and again',
  note:
    '64 callers, one id, its limit used up for a day. Ours, @upstash/ratelimit and, with an option, rate-limiter-flexible deny it in ' +
    'this process; ours asks Redis again after a second, so that a reset elsewhere is noticed.',
  columns: closedLoopColumns,
  ratios: [
    { metric: 'perSecond', to: 'raw', label: 'x raw Lua' },
    { metric: 'cpuUs', to: 'gcra', label: 'CPU x gcra' },
  ],
  contenders: contendersOf([...ours, raw, textbook, fastify, express, flexible, flexibleBlocking, ...upstash], denying),
  goals: [{ text: 'gcra at least 1 M/s', metric: 'perSecond', contender: 'gcra', atLeast: 1e6 }],
}
