/** One request that is limited by its address, its user and its session: admitted by all three, or not charged. */

import { closeRedis } from '@shop/redis-kit/connection'
import type { RateLimit } from '@shop/redis-kit/rate-limit'
import { createRateLimits } from '@shop/redis-kit/rate-limit/dimensions'
import { closedLoop, pickerOf } from '../harness/closed-loop.ts'
import { type Contender, closedLoopColumns, type Running, type Table } from '../harness/suite.ts'
import { rawCorked } from './by-hand.ts'
import { ids, type Limit, type Limiter, type Limiting, type Opening, type Servers, useUp } from './limiter.ts'
import { connectOurs, limitOn, ours } from './ours.ts'
import { express, fastify, flexible } from './peers.ts'

const limit: Limit = { count: 1_000, periodMs: 60_000 }
const names = ['address', 'user', 'session'] as const
type Ids = Record<(typeof names)[number], string>

interface Joint {
  take(ids: Ids): Promise<boolean>
  close(): Promise<unknown>
}

interface Joining extends Pick<Limiting, 'id' | 'label' | 'role'> {
  open(opening: Opening): Promise<Joint>
}

type Dimension = { name: string; limit: RateLimit }

const together: Joining = {
  id: 'joint',
  label: 'redis-kit/rate-limit, createRateLimits',
  role: 'ours',
  async open({ redisUrl, limit, space }) {
    const redis = await connectOurs(redisUrl)
    const [address, user, session] = names.map((name) => ({
      name,
      limit: limitOn(redis, { algorithm: 'gcra', limit, space: `${space}-${name}` }),
    })) as [Dimension, Dimension, Dimension]
    const { check } = createRateLimits({ deadlineMs: 2_000 })
    return {
      async take(ids) {
        const { allowed, decisions } = await check([
          { ...address, id: ids.address },
          { ...user, id: ids.user },
          { ...session, id: ids.session },
        ])
        if (decisions.some(({ decision }) => decision.degraded)) throw new Error('decided without Redis')
        return allowed
      },
      close: () => closeRedis(redis),
    }
  },
}

/** What a library leaves to do: one call after the other, the next only when the last one admitted. Nothing is given back. */
const inTurn = ({ id, label, role, open }: Limiting): Joining => ({
  id,
  label: `${label}, three calls`,
  role,
  async open(opening) {
    const limiters = await Promise.all(names.map((name) => open({ ...opening, space: `${opening.space}-${name}` })))
    const [addresses, users, sessions] = limiters as [Limiter, Limiter, Limiter]
    return {
      take: async ({ address, user, session }) =>
        (await addresses.take(address)) && (await users.take(user)) && (await sessions.take(session)),
      close: () => Promise.all(limiters.map((limiter) => limiter.close())),
    }
  },
})

async function joining({ id, open }: Joining, { redisUrl }: Servers): Promise<Running> {
  const joint = await open({ redisUrl, limit, space: `joint-${id}` })
  const pick = pickerOf(ids)
  // The last dimension alone is used up: that it is asked at all is what has to be seen.
  const lastOnly: Limiter = { ...joint, take: (session) => joint.take({ address: pick(), user: pick(), session }) }
  await useUp(lastOnly, limit, 'used-up')
  async function takeOne() {
    if (!(await joint.take({ address: pick(), user: pick(), session: pick() }))) throw new Error(`${id} denied an id`)
  }
  return {
    measure: (plan) => closedLoop(takeOne, plan),
    close: async () => void (await joint.close()),
  }
}

const contender = (one: Joining): Contender<Servers> => ({ ...one, start: (servers) => joining(one, servers) })
const ourGcra = ours.filter(({ id }) => id === 'gcra').map((one) => ({ ...one, role: 'control' as const }))
const peers = [fastify, express, flexible]

export const joint: Table<Servers> = {
  id: 'joint',
  title: 'Rate limit: one decision over three dimensions',
  note:
    '64 callers, 10,000 addresses, users and sessions at random, 1,000 per minute for each; all are admitted. Libraries are asked three ' +
    'times, one after the other, and would not give back what the first took when the last denies.',
  columns: [{ ...closedLoopColumns[0], label: 'requests/s' }, ...closedLoopColumns.slice(1)],
  ratios: [
    { metric: 'perSecond', to: 'raw-corked', label: 'x raw corked' },
    { metric: 'p50Us', to: 'joint', label: 'p50 x ours' },
    { metric: 'cpuUs', to: 'joint', label: 'CPU x ours' },
  ],
  contenders: [together, ...[...ourGcra, rawCorked, ...peers].map(inTurn)].map(contender),
  goals: [
    {
      text: 'at least 1.2 x every library',
      metric: 'perSecond',
      contender: 'joint',
      than: peers.map(({ id }) => id),
      atLeast: 1.2,
    },
  ],
}
