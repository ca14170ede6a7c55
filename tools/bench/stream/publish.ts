/** Publishing one by one: each publisher waits for its answer. */
import type { Redis } from 'ioredis'
import { closedLoop } from '../harness/closed-loop.ts'
import { connectCorked, connectPlain } from '../harness/plain-redis.ts'
import { closedLoopColumns, type Running, type Table } from '../harness/suite.ts'
import type { Servers } from './context.ts'
import { fieldsOf, makeEvent, makeJob } from './event.ts'
import { closeRedis, connectOurs, openTopic } from './ours.ts'

function publishingTo(redis: Redis): Running {
  return {
    async measure(plan) {
      const stream = `raw:${plan.round}:${process.pid}`
      const sample = await closedLoop(() => redis.xadd(stream, '*', ...fieldsOf(makeEvent())), plan)
      await redis.unlink(stream)
      return sample
    },
    close: async () => void (await redis.quit()),
  }
}

async function publishingOurs({ redisUrl }: Servers): Promise<Running> {
  const redis = await connectOurs(redisUrl)
  return {
    async measure(plan) {
      const { topic, remove } = openTopic(redis, `published-${plan.round}`)
      const sample = await closedLoop(() => topic.publish(makeEvent()), plan)
      await remove()
      return sample
    },
    close: () => closeRedis(redis),
  }
}

async function publishingBull({ redisUrl }: Servers): Promise<Running> {
  const { Queue } = await import('bullmq')
  const connection = connectPlain(redisUrl, { maxRetriesPerRequest: null })
  return {
    async measure(plan) {
      const queue = new Queue(`published-${plan.round}`, { connection })
      await queue.waitUntilReady()
      const sample = await closedLoop(() => {
        const { name, data, opts } = makeJob()
        return queue.add(name, data, opts)
      }, plan)
      await queue.obliterate({ force: true })
      await queue.close()
      return sample
    },
    close: async () => void (await connection.quit()),
  }
}

export const publish: Table<Servers> = {
  id: 'publish',
  title: 'Stream: publish one by one',
  note: '64 publishers, events of 200 bytes. Ours and BullMQ know an event that comes twice by its id; XADD does not.',
  columns: [{ ...closedLoopColumns[0], label: 'events/s' }, ...closedLoopColumns.slice(1)],
  ratios: [
    { metric: 'perSecond', to: 'bullmq', label: 'x BullMQ' },
    { metric: 'perSecond', to: 'corked', label: 'x XADD corked' },
    { metric: 'cpuUs', to: 'bullmq', label: 'CPU x BullMQ' },
  ],
  contenders: [
    { id: 'ours', label: 'redis-kit/stream, publish', role: 'ours', start: publishingOurs },
    {
      id: 'plain',
      label: 'XADD, ioredis',
      role: 'control',
      start: async ({ redisUrl }) => publishingTo(connectPlain(redisUrl)),
    },
    {
      id: 'corked',
      label: 'XADD, ioredis corked',
      role: 'limit',
      start: async ({ redisUrl }) => publishingTo(connectCorked(redisUrl)),
    },
    { id: 'bullmq', label: 'BullMQ, add', role: 'peer', start: publishingBull },
  ],
  goals: [
    { text: 'at least 3.5 x BullMQ add', metric: 'perSecond', contender: 'ours', than: ['bullmq'], atLeast: 3.5 },
  ],
}
