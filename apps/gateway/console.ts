/**
 * The streams for the console: each topic is shown by the service that owns it, because only that one may touch its keys. Here the
 * answers are put together, and what is asked about one topic is sent to its owner.
 */
import type { StreamOverview, StreamTopicList } from '@shop/contracts/streams'
import { topics } from '@shop/contracts/topics'
import { type ServiceClient, type ServiceResponse, ServiceUnavailable } from '@shop/service-kit/call/client'
import type { Server } from '@shop/service-kit/http/server'
import type { FastifyRequest } from 'fastify'
import { errors } from './errors.ts'
import { send } from './proxy/headers.ts'
import { type Forwarding, withHead } from './proxy/proxy.ts'
import { type Route, topicListPath, topicRoutes } from './routes.ts'

type Owner = Route['service']

const ownerOf = new Map<string, Owner>(
  Object.values(topics).map(({ service, entity }) => [`${service}:${entity}`, service]),
)
const owners = [...new Set(ownerOf.values())]

/** Longest that one owner may keep the others' answers waiting. */
const patienceMs = 3_000

export function consoleRoutes(server: Server, client: ServiceClient, forwarding: Forwarding) {
  const { forward, callerOf, toService, untilClientGone } = forwarding

  server.get(topicListPath, { config: { limits: 'admin', access: { withoutSessions: 'refuse' } } }, (request, reply) =>
    untilClientGone(request, reply, async ({ signal }) => {
      const { identity } = await callerOf(request)
      const ask = (service: Owner) =>
        client.request({ ...toService({ service }, request, identity), method: 'GET', deadlineMs: patienceMs, signal })
      const answers = await Promise.all(owners.map((service) => answerOf(service, ask, request)))
      const refusal = answers.find(({ response }) => response && response.status >= 400 && response.status < 500)
      if (refusal?.response) return send(reply, refusal.response)
      return reply.header('cache-control', 'no-store').send(overviewOf(answers))
    }),
  )

  for (const { methods, path, limits } of topicRoutes) {
    server.route<{ Params: { topic: string } }>({
      method: withHead(methods),
      url: path,
      config: { limits, access: { withoutSessions: 'refuse' } },
      handler: (request, reply) => {
        const service = ownerOf.get(request.params.topic)
        if (!service) throw errors.topicNotFound()
        return forward({ methods, path, service, limits, withoutSessions: 'refuse' }, request, reply)
      },
    })
  }
}

interface Answer {
  service: Owner
  response?: ServiceResponse
}

/** No answer is one too: the others are shown, and this one is named. */
async function answerOf(
  service: Owner,
  ask: (service: Owner) => Promise<ServiceResponse>,
  { log }: FastifyRequest,
): Promise<Answer> {
  try {
    return { service, response: await ask(service) }
  } catch (error) {
    if (!(error instanceof ServiceUnavailable)) throw error
    log.warn({ err: error }, 'stream overview of a service missing')
    return { service }
  }
}

/** What an owner did not show, because it is away or has forgotten to, is named. */
function overviewOf(answers: readonly Answer[]): StreamOverview {
  const items = answers.flatMap(({ response }) => itemsIn(response))
  const shown = new Set(items.map(({ topic }) => topic))
  const unavailable = owners.flatMap((service) => {
    const missing = topicsOf(service).filter((topic) => !shown.has(topic))
    return missing.length > 0 ? [{ service, topics: missing }] : []
  })
  return { items, unavailable }
}

/** None when the owner could not look: its Redis is away, say. */
function itemsIn(response: ServiceResponse | undefined): StreamTopicList['items'] {
  return response?.status === 200 ? (JSON.parse(response.body.toString()) as StreamTopicList).items : []
}

function topicsOf(service: Owner): string[] {
  return [...ownerOf].flatMap(([topic, owner]) => (owner === service ? [topic] : []))
}
