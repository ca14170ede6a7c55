/** Fifty handlers, an acknowledgement for each message, and in Redis a mark by which one that comes twice would be known. */
import { connectCorked, connectPlain } from '../harness/plain-redis.ts'
import { closedLoopColumns, type Running, type Table } from '../harness/suite.ts'
import { consuming, type Handle, handlerCount, times, type Worker } from './consuming.ts'
import type { Servers } from './context.ts'
import { fieldsOf, makeEvent, makeJob } from './event.ts'
import { closeRedis, connectOurs, openTopic } from './ours.ts'

const group = 'bench'
const markMs = 60_000
const markOf = (contender: string, eventId: string) => `bench:mark:${contender}:${eventId}`

async function consumingOurs({ redisUrl }: Servers): Promise<Running> {
  const { connectRedis } = await import('@shop/redis-kit/connection')
  const redis = await connectOurs(redisUrl)
  const connect = () => connectRedis(redisUrl, { name: 'bench-events', role: 'blocking' })
  const { topic, remove } = openTopic(redis, 'consumed')
  const stopping = new AbortController()
  const open = async (handle: Handle, settled: () => void): Promise<Worker> => {
    const { signal } = stopping
    const messages = topic.read({ group, consumer: 'one', connect, signal, concurrency: handlerCount })
    const work = async () => {
      for await (const message of messages) {
        await handle(message.eventId)
        await message.ack()
        settled()
      }
    }
    const working = Promise.all(Array.from({ length: handlerCount }, work))
    return {
      fill: (count) => times(count, () => topic.publish(makeEvent())),
      async close() {
        stopping.abort()
        await working
        await remove()
        await closeRedis(redis)
      },
    }
  }
  return consuming(open, (eventId) => redis.set(markOf('ours', eventId), 1, 'PX', markMs, 'NX'))
}

interface RawOptions {
  id: string
  connect: typeof connectPlain
  withMarks: boolean
}

/** XREADGROUP, fifty at a time, XACK for each. What it had in hand when it died is in nobody's. */
async function consumingRaw({ redisUrl }: Servers, { id, connect, withMarks }: RawOptions): Promise<Running> {
  const stream = `bench:raw:${id}`
  const redis = connect(redisUrl)
  const reading = connectPlain(redisUrl)
  await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  let isStopping = false
  const open = async (handle: Handle, settled: () => void): Promise<Worker> => {
    const finish = async ([streamId, [, eventId = '']]: Entry) => {
      await handle(eventId)
      await redis.xack(stream, group, streamId)
      settled()
    }
    const loop = async () => {
      while (!isStopping) {
        const reply = await reading.xreadgroup(
          'GROUP',
          group,
          'one',
          'COUNT',
          handlerCount,
          'BLOCK',
          500,
          'STREAMS',
          stream,
          '>',
        )
        const entries = ((reply as [string, Entry[]][] | null)?.[0]?.[1] ?? []) as Entry[]
        await Promise.all(entries.map(finish))
      }
    }
    const looping = loop()
    return {
      fill: (count) => times(count, () => redis.xadd(stream, '*', ...fieldsOf(makeEvent()))),
      async close() {
        isStopping = true
        await looping
        await redis.unlink(stream)
        await Promise.all([redis.quit(), reading.quit()])
      },
    }
  }
  return consuming(open, withMarks ? (eventId) => redis.set(markOf(id, eventId), 1, 'PX', markMs, 'NX') : undefined)
}

type Entry = [streamId: string, fields: string[]]

/** It has a lock per job instead of a mark; a job that stalls comes twice all the same. */
async function consumingBull({ redisUrl }: Servers): Promise<Running> {
  const { Queue, Worker: BullWorker } = await import('bullmq')
  const connection = connectPlain(redisUrl, { maxRetriesPerRequest: null })
  const queue = new Queue('consumed', { connection })
  const open = async (handle: Handle, settled: () => void): Promise<Worker> => {
    const worker = new BullWorker('consumed', (job) => handle(job.id ?? ''), {
      connection: connectPlain(redisUrl, { maxRetriesPerRequest: null }),
      concurrency: handlerCount,
      removeOnComplete: { count: 0 },
    })
    worker.on('completed', settled)
    await worker.waitUntilReady()
    const addSome = () => queue.addBulk(Array.from({ length: 100 }, makeJob))
    return {
      fill: (count) => times(count / 100, addSome, 5),
      async close() {
        await worker.close()
        await queue.obliterate({ force: true })
        await queue.close()
        connection.disconnect()
      },
    }
  }
  return consuming(open)
}

export const consume: Table<Servers> = {
  id: 'consume',
  title: 'Stream: 50 handlers, each message acknowledged',
  note: 'A backlog of events of 200 bytes, one consumer process. "Marks": the handler notes the event id in Redis (SET NX), so that one that comes twice is known. BullMQ has a lock per job instead.',
  columns: [{ ...closedLoopColumns[0], label: 'events/s' }, closedLoopColumns[1]],
  ratios: [
    { metric: 'perSecond', to: 'bullmq', label: 'x BullMQ' },
    { metric: 'perSecond', to: 'raw-marks', label: 'x raw, marks' },
    { metric: 'cpuUs', to: 'raw-marks', label: 'CPU x raw, marks' },
  ],
  contenders: [
    { id: 'ours', label: 'redis-kit/stream, read, marks', role: 'ours', start: consumingOurs },
    {
      id: 'raw-marks',
      label: 'XREADGROUP and XACK corked, marks',
      role: 'limit',
      start: (servers) => consumingRaw(servers, { id: 'raw-marks', connect: connectCorked, withMarks: true }),
    },
    {
      id: 'raw',
      label: 'XREADGROUP and XACK, no marks',
      role: 'control',
      start: (servers) => consumingRaw(servers, { id: 'raw', connect: connectPlain, withMarks: false }),
    },
    { id: 'bullmq', label: 'BullMQ, Worker', role: 'peer', start: consumingBull },
  ],
  goals: [
    { text: 'at least 3 x BullMQ', metric: 'perSecond', contender: 'ours', than: ['bullmq'], atLeast: 3 },
    {
      text: 'at least 0.65 x raw commands that do the same',
      metric: 'perSecond',
      contender: 'ours',
      than: ['raw-marks'],
      atLeast: 0.65,
    },
  ],
}
