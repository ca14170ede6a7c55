/**
 * What an administrator may see and do of the streams, answered by the service that owns the topic: no other may touch its keys. The
 * gateway puts the answers of all owners together.
 *
 *     streamConsoleRoutes(server, redis, { topics: [keys.orderEvents] })
 */
import {
  DeadLetterDetail,
  DeadLetterPage,
  DeadLetterParams,
  DeadLetterQuery,
  RedriveAllQuery,
  Redriven,
  RedrivenAll,
  StreamTopicList,
  TopicParams,
} from '@shop/contracts/streams'
import type { Redis } from '@shop/redis-kit/connection'
import type { TopicKeys } from '@shop/redis-kit/stream'
import { createDeadLetters, type DeadLetter } from '@shop/redis-kit/stream/dead-letters'
import { topicOverview } from '@shop/redis-kit/stream/overview'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { createCursor, cursorErrors } from '../http/cursor.ts'
import { defineErrors, type ErrorMaker } from '../http/errors.ts'
import { noBody } from '../http/openapi.ts'
import type { Server } from '../http/server.ts'
import { type Identity, identityErrors, requireAdmin } from '../identity/identity.ts'

const errors = defineErrors({
  topicNotFound: ['not-found', 'topic-not-found', 'No service has a topic with this name'],
  letterNotFound: ['not-found', 'dead-letter-not-found', 'The dead letter does not exist or was removed'],
})

/** The id of the last letter of a page. */
const cursor = createCursor(Type.String({ pattern: '^\\d{1,4}\\.\\d{1,20}-\\d{1,20}$' }))
const defaultPageCount = 20
const maxRedriveCount = 1_000
/** Sent at once, so that a thousand letters are not a thousand round trips, and Redis gets to others in between. */
const batchCount = 100

const path = '/api/console/streams'
const ofLetter = [errors.topicNotFound, errors.letterNotFound]
const admin = (...own: ErrorMaker[]) => ({
  onRequest: async (request: FastifyRequest) => void requireAdmin(request),
  config: { refusals: [identityErrors.signInRequired, identityErrors.adminOnly, ...own] },
})

export function streamConsoleRoutes(server: Server, redis: Redis, { topics }: { topics: readonly TopicKeys[] }): void {
  const console = createConsole(redis, topics)

  server.get(
    path,
    { ...admin(), schema: { summary: 'List the streams of this service', response: { 200: StreamTopicList } } },
    () => console.overview(),
  )

  server.get(
    `${path}/:topic/dead`,
    {
      ...admin(errors.topicNotFound, cursorErrors.cursorInvalid),
      schema: {
        summary: 'List the dead letters of a stream',
        params: TopicParams,
        querystring: DeadLetterQuery,
        response: { 200: DeadLetterPage },
      },
    },
    ({ params, query }) => console.page(params.topic, query),
  )

  server.get(
    `${path}/:topic/dead/:id`,
    {
      ...admin(...ofLetter),
      schema: { summary: 'Show a dead letter', params: DeadLetterParams, response: { 200: DeadLetterDetail } },
    },
    async ({ params }) => detail(await console.find(params.topic, params.id)),
  )

  server.post(
    `${path}/:topic/dead/:id/redrive`,
    {
      ...admin(...ofLetter),
      schema: {
        summary: 'Return a dead letter to its stream',
        params: DeadLetterParams,
        response: { 200: Redriven },
      },
    },
    ({ params, identity, log }) => console.redrive(params.topic, params.id, auditTo(log, identity)),
  )

  server.post(
    `${path}/:topic/dead/redrive`,
    {
      ...admin(errors.topicNotFound),
      schema: {
        summary: 'Return all dead letters to their stream',
        params: TopicParams,
        querystring: RedriveAllQuery,
        response: { 200: RedrivenAll },
      },
    },
    ({ params, query, identity, log }) => console.redriveAll(params.topic, query.limit, auditTo(log, identity)),
  )

  server.delete(
    `${path}/:topic/dead/:id`,
    {
      ...admin(...ofLetter),
      schema: { summary: 'Discard a dead letter', params: DeadLetterParams, response: { 204: noBody('Discarded') } },
    },
    async ({ params, identity, log }, reply) => {
      await console.discard(params.topic, params.id, auditTo(log, identity))
      return reply.code(204).send()
    },
  )
}

type Audit = (topic: string, letter: DeadLetter, what: string) => void

/** Who did what to which letter. Never its body: it is about a customer. */
function auditTo(log: FastifyBaseLogger, { userId }: Identity): Audit {
  return (topic, { letterId, group, eventId, type }, what) =>
    log.info({ userId, topic, letterId, group, eventId, type }, what)
}

function createConsole(redis: Redis, topics: readonly TopicKeys[]) {
  const letters = new Map(topics.map((keys) => [keys.name, createDeadLetters(redis, { keys })]))
  return { overview, page, find, redrive, redriveAll, discard }

  async function overview(): Promise<StreamTopicList> {
    return { items: await Promise.all(topics.map((keys) => topicOverview(redis, keys))) }
  }

  async function page(topic: string, { limit = defaultPageCount, cursor: after }: DeadLetterQuery) {
    const start = after === undefined ? undefined : cursor.decode(after)
    const { letters: found, cursor: last } = await lettersOf(topic).list({ limit, cursor: start })
    return { items: found.map(summary), nextCursor: last === undefined ? null : cursor.encode(last) }
  }

  async function find(topic: string, id: string): Promise<DeadLetter> {
    return (await lettersOf(topic).find(id)) ?? gone()
  }

  async function redrive(topic: string, id: string, audit: Audit): Promise<Redriven> {
    const letter = await find(topic, id)
    return { streamId: (await putBack(topic, letter, audit)) ?? gone() }
  }

  async function putBack(topic: string, letter: DeadLetter, audit: Audit): Promise<string | undefined> {
    const streamId = await lettersOf(topic).redrive(letter.letterId)
    if (streamId !== undefined) audit(topic, letter, 'dead letter redriven')
    return streamId
  }

  /** Those that are there now, oldest first: one that dies again meanwhile is another letter, so this comes to an end. */
  async function redriveAll(topic: string, limit = maxRedriveCount, audit: Audit): Promise<RedrivenAll> {
    const { letters: found } = await lettersOf(topic).list({ limit })
    let redrivenCount = 0
    for (let start = 0; start < found.length; start += batchCount) {
      const batch = found.slice(start, start + batchCount)
      const streamIds = await Promise.all(batch.map((letter) => putBack(topic, letter, audit)))
      redrivenCount += streamIds.filter((streamId) => streamId !== undefined).length
    }
    return { redrivenCount, remainingCount: await lettersOf(topic).count() }
  }

  async function discard(topic: string, id: string, audit: Audit): Promise<void> {
    const letter = await find(topic, id)
    if (!(await lettersOf(topic).discard(id))) gone()
    audit(topic, letter, 'dead letter discarded')
  }

  function lettersOf(topic: string) {
    const found = letters.get(topic)
    if (!found) throw errors.topicNotFound()
    return found
  }
}

function gone(): never {
  throw errors.letterNotFound()
}

function summary({ letterId, group, reason, attemptCount, deadSinceMs, eventId, key, type }: DeadLetter) {
  const deadSince = new Date(deadSinceMs).toISOString()
  return { id: letterId, group, reason, attemptCount, deadSince, eventId, key, type }
}

function detail(letter: DeadLetter): DeadLetterDetail {
  const { originId: streamId, partition, trace, body, otherFields } = letter
  return { ...summary(letter), streamId, partition, trace, body, ...origin(letter), otherFields }
}

/** From where the event came, if it says so: beside its body or inside. */
function origin({ body, otherFields }: DeadLetter) {
  const inside = objectIn(body)
  const text = (name: string) => [otherFields[name], inside[name]].find((value) => typeof value === 'string') as string
  return { traceparent: text('traceparent'), requestId: text('requestId') }
}

function objectIn(body: string | undefined): Record<string, unknown> {
  try {
    return Object(JSON.parse(body ?? ''))
  } catch {
    return {}
  }
}
