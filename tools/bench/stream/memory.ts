/** What a message costs in Redis' memory from its publication to its acknowledgement. */
import type { Redis } from 'ioredis'
import { connectPlain } from '../harness/plain-redis.ts'
import type { Running, Sample, Table } from '../harness/suite.ts'
import { times } from './consuming.ts'
import type { Servers } from './context.ts'
import { fieldsOf, makeEvent, makeJob } from './event.ts'
import { closeRedis, connectOurs, openTopic } from './ours.ts'

const messageCount = 10_000
const group = 'bench'

interface Backlog {
  fill(): Promise<unknown>
  /** Gives all of them to a consumer that does not acknowledge. */
  handOut(): Promise<unknown>
  /** Stops that consumer. */
  stop(): Promise<unknown>
}

/** A new backlog per round, all of whose keys have the name in them. Nobody else is busy on the server meanwhile. */
function weighing(redis: Redis, id: string, open: (name: string) => Backlog, close = async () => {}): Running {
  const usedBytes = async () => Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1])
  return {
    async measure({ round }): Promise<Sample> {
      const name = `weighed-${id}-${round}`
      const backlog = open(name)
      const before = await usedBytes()
      await backlog.fill()
      const waiting = await usedBytes()
      await backlog.handOut()
      const inHand = await usedBytes()
      await backlog.stop()
      for await (const keys of redis.scanStream({ match: `*${name}*`, count: 1000 })) {
        if (keys.length > 0) await redis.unlink(keys)
      }
      return { waitingBytes: (waiting - before) / messageCount, inHandBytes: (inHand - before) / messageCount }
    },
    async close() {
      await close()
      redis.disconnect()
    },
  }
}

async function weighingRaw({ redisUrl }: Servers): Promise<Running> {
  const redis = connectPlain(redisUrl)
  return weighing(redis, 'raw', (name) => ({
    fill: () => times(messageCount, () => redis.xadd(name, '*', ...fieldsOf(makeEvent()))),
    async handOut() {
      await redis.xgroup('CREATE', name, group, '0')
      await times(messageCount / 100, () => redis.xreadgroup('GROUP', group, 'one', 'COUNT', 100, 'STREAMS', name, '>'))
    },
    stop: async () => {},
  }))
}

async function weighingOurs({ redisUrl }: Servers): Promise<Running> {
  const { connectRedis } = await import('@shop/redis-kit/connection')
  const ours = await connectOurs(redisUrl)
  const connect = () => connectRedis(redisUrl, { name: 'bench-events', role: 'blocking' })
  const open = (name: string): Backlog => {
    const { topic } = openTopic(ours, name)
    const stopping = new AbortController()
    const { signal } = stopping
    const messages = topic.read({ group, consumer: 'one', connect, signal, concurrency: messageCount })
    return {
      fill: () => times(messageCount, () => topic.publish(makeEvent())),
      handOut: () => Promise.all(Array.from({ length: messageCount }, () => messages.next())),
      async stop() {
        stopping.abort()
        await messages.next()
      },
    }
  }
  return weighing(connectPlain(redisUrl), 'ours', open, () => closeRedis(ours))
}

async function weighingBull({ redisUrl }: Servers): Promise<Running> {
  const { Queue, Worker } = await import('bullmq')
  const connect = () => connectPlain(redisUrl, { maxRetriesPerRequest: null })
  const open = (name: string): Backlog => {
    const connections = [connect(), connect()] as const
    const queue = new Queue(name, { connection: connections[0] })
    const released = Promise.withResolvers<void>()
    const given = Promise.withResolvers<void>()
    let givenCount = 0
    const hold = () => {
      givenCount += 1
      if (givenCount === messageCount) given.resolve()
      return released.promise
    }
    const options = { connection: connections[1], concurrency: messageCount, autorun: false, lockDuration: 300_000 }
    const worker = new Worker(name, hold, options)
    const add = () => {
      const { name, data, opts } = makeJob()
      return queue.add(name, data, opts)
    }
    return {
      fill: () => times(messageCount, add),
      async handOut() {
        worker.run().catch(given.reject)
        await given.promise
      },
      async stop() {
        released.resolve()
        await Promise.all([worker.close(), queue.close()])
        for (const connection of connections) connection.disconnect()
      },
    }
  }
  return weighing(connectPlain(redisUrl), 'bullmq', open)
}

export const memory: Table<Servers> = {
  id: 'memory',
  title: 'Stream: memory of Redis for a message in flight',
  note: '10,000 events of 200 bytes (id, key, type and body), all of their keys counted: published and waiting, then given to a consumer that has not acknowledged. Ours and BullMQ would recognise a repeated publication.',
  columns: [
    { metric: 'waitingBytes', label: 'waiting', format: 'bytes' },
    { metric: 'inHandBytes', label: 'in hand', format: 'bytes' },
  ],
  ratios: [{ metric: 'waitingBytes', to: 'bullmq', label: 'x BullMQ' }],
  contenders: [
    { id: 'ours', label: 'redis-kit/stream', role: 'ours', start: weighingOurs },
    { id: 'raw', label: 'XADD', role: 'limit', start: weighingRaw },
    { id: 'bullmq', label: 'BullMQ', role: 'peer', start: weighingBull },
  ],
  goals: [{ text: 'at most 250 bytes while waiting', metric: 'waitingBytes', contender: 'ours', atMost: 250 }],
}
