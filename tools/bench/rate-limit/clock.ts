/** Two hosts share a limit; the clock of one is a minute ahead. What it takes that it should not, and what it leaves the other. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Plan, Running, Sample, Table } from '../harness/suite.ts'
import { raw, textbook } from './by-hand.ts'
import { contendersOf, type Limit, type Limiter, type Limiting, type Servers } from './limiter.ts'
import { ours } from './ours.ts'
import { express, fastify, upstash } from './peers.ts'

const limit: Limit = { count: 10, periodMs: 250 }
const aheadMs = 60_000
const asked = 3 * limit.count

async function skewing({ id, open }: Limiting, { redisUrl }: Servers): Promise<Running> {
  const opening = { redisUrl, limit, space: `clock-${id}` }
  // Two of them, as two hosts have: a denial that one remembers must not answer for the other.
  const [right, ahead] = await Promise.all([open(opening), open(opening)])

  async function measure({ round }: Plan): Promise<Sample> {
    const id = `round-${round}`
    await right.take(id)
    const burst = 1 + (await admitted(right, id))
    const extra = await withClockAhead(() => admitted(ahead, id))
    // Two periods: for a counter that slides, the first one still counts in the second.
    await sleep(2 * limit.periodMs)
    return { burst, extra, afterwards: await admitted(right, id) }
  }
  async function close() {
    await Promise.all([right.close(), ahead.close()])
  }
  return { measure, close }
}

async function admitted({ take }: Limiter, id: string): Promise<number> {
  const answers = await Promise.all(Array.from({ length: asked }, () => take(id)))
  return answers.filter(Boolean).length
}

/** Only `Date` is moved: it is what the contenders read. Nothing else runs in this process meanwhile. */
async function withClockAhead<T>(work: () => Promise<T>): Promise<T> {
  const now = Date.now
  Date.now = () => now() + aheadMs
  try {
    return await work()
  } finally {
    Date.now = now
  }
}

export const clock: Table<Servers> = {
  id: 'clock',
  title: 'Rate limit: a host whose clock is a minute ahead',
  note:
    'Two hosts, one limit of 10 per 250 ms. The first takes all it gets; then the second, whose clock is 60 s ahead, asks 30 times; two ' +
    'periods later the first asks 30 times. A limit that is kept gives 0 and then 10.',
  columns: [
    { metric: 'extra', label: 'admitted for the clock ahead', format: 'count' },
    { metric: 'afterwards', label: 'for the right one, later', format: 'count' },
    { metric: 'burst', label: 'at the beginning', format: 'count' },
  ],
  ratios: [],
  contenders: contendersOf([...ours, raw, textbook, fastify, express, ...upstash], skewing),
  goals: [
    { text: 'gcra admits nothing more for a clock that is ahead', metric: 'extra', contender: 'gcra', atMost: 1 },
    { text: 'gcra admits a full burst afterwards', metric: 'afterwards', contender: 'gcra', atLeast: 10 },
  ],
}
