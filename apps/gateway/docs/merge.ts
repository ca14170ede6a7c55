/** One description of the public API, from those of the services: what the gateway lets through, and what it adds. */
import { sessionCookieName } from '@shop/contracts/cookies'
import { StreamOverview } from '@shop/contracts/streams'
import { type Json, type OpenApi, refusalResponses } from '@shop/service-kit/http/openapi'
import { errors } from '../errors.ts'
import { internalPaths, limitRouteList, type Route, routes, services, topicListPath, topicRoutes } from '../routes.ts'
import type { Descriptions } from './descriptions.ts'
import { comparePaths, sectionOf, tags } from './sections.ts'

/** The gateway describes its own routes as a service does. */
export const gatewayName = 'gateway'

const unsafe = new Set(['post', 'put', 'patch', 'delete'])

/** What the gateway itself says no with. */
const refusals = {
  always: [
    errors.tooManyRequests,
    errors.tooManyConcurrent,
    errors.limitsUnavailable,
    errors.overloaded,
    errors.sessionsUnavailable,
    errors.serviceUnavailable,
    { kind: 'timed-out', code: 'service-timed-out' },
  ],
  unsafe: [errors.originNotAllowed],
  streams: [errors.tooManyStreams, errors.streamsExhausted],
  topics: [errors.topicNotFound],
  scoped: [errors.apiKeyInvalid, errors.scopeMissing, errors.apiKeysUnavailable],
} as const

/** A route of the gateway, as a description has it: `/api/products/{sku}`. */
interface Operation {
  path: string
  method: string
  /** Undefined for a topic's: each owner describes it. */
  service?: Route['service'] | typeof gatewayName
  streams: boolean
  /** Of the API keys that may use it. */
  scope?: Route['scope']
}

/** @param descriptions a service that is missing leaves a gap that says so */
export function mergeDescriptions(descriptions: Descriptions): OpenApi {
  const schemas = createSchemas()
  const paths: OpenApi['paths'] = { ...ownPaths() }
  const missing = services.filter((service) => !descriptions.has(service))
  for (const wanted of operations()) {
    const found = described(wanted, descriptions)
    for (const { service, path, operation } of found.length > 0 ? found : [gap(wanted)]) {
      const named = schemas.named(operation, service, descriptions.get(service)) as Json
      paths[path] = { ...paths[path], [wanted.method]: publicOperation(named, path, wanted) }
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Redis Shop', version: '1', description: descriptionOf(missing) },
    servers: [{ url: '/' }],
    tags,
    security: anybody,
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => comparePaths(a, b))),
    components: {
      schemas: schemas.all(),
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: sessionCookieName, description: aboutSession },
        apiKey: { type: 'http', scheme: 'bearer', description: aboutApiKey },
      },
    },
    ...(missing.length > 0 && { 'x-missing-services': missing }),
  }
}

const aboutSession =
  'POST /api/sessions sets this cookie and the browser sends it by itself. A page cannot set it: leave this field empty.'

const aboutApiKey =
  'For the programs of partners. POST /api/api-keys issues a token, with scopes and a quota. The routes that list this scheme accept it.'

/** A guest, or who the browser's cookie names. */
const anybody = [{}, { session: [] }]

const introduction = `To begin, press **Execute** on these four. Their examples fit together.

1. \`POST /api/users\` creates an account. If it answers \`email-taken\`, the account exists: continue.
2. \`POST /api/sessions\` signs in. The browser keeps the session cookie, so you do not need **Authorize**.
3. \`PUT /api/cart/items/{sku}\` puts a product into the cart. \`GET /api/products\` lists the others.
4. \`POST /api/orders\` orders the cart. Use a new Idempotency-Key for each order.

The demo also has two customers and an administrator. \`npm run demo\` prints their addresses and passwords.
With Docker, \`docker compose run --rm setup accounts\` prints them.
Sign in as the administrator for the routes of Administration.

Errors are application/problem+json (RFC 9457) with a stable code. Each status lists its codes.`

function descriptionOf(missing: readonly string[]): string {
  const gaps = missing.map(
    (service) => `The ${service} service does not answer now; its routes are listed without details.`,
  )
  return [introduction, ...gaps].join('\n\n')
}

function operations(): Operation[] {
  const ofRoutes = routes.flatMap(({ methods, path, service, body, answer, scope }) =>
    methods.map((method) => ({ path, method, service, scope, streams: (body ?? answer) !== undefined })),
  )
  const ofTopics = topicRoutes.flatMap(({ methods, path }) =>
    methods.map((method) => ({ path, method, streams: false })),
  )
  const ofLimits = limitRouteList.flatMap(({ methods, path }) =>
    methods.map((method) => ({ path, method, service: gatewayName, streams: false }) as const),
  )
  return [...ofRoutes, ...ofTopics, ...ofLimits].map((one) => ({
    ...one,
    path: templateOf(one.path),
    method: one.method.toLowerCase(),
  }))
}

/** Every path of the service that the gateway's route lets through: `/api/sessions/{id}` also passes `/api/sessions/current`. */
function described({ path: pattern, method, service }: Operation, descriptions: Descriptions) {
  for (const [name, { paths }] of descriptions) {
    if (service !== undefined && service !== name) continue
    const found = Object.entries(paths).flatMap(([path, methods]) => {
      const operation = methods[method]
      return operation && fits(path, pattern) && ownerOf(path, method, pattern)
        ? [{ service: name, path, operation }]
        : []
    })
    if (found.length > 0) return found
  }
  return []
}

/** Whether this route of the gateway answers the path: an internal one, and one with a route of its own, do not count for a wider one. */
function ownerOf(path: string, method: string, pattern: string): boolean {
  if (internalPaths.includes(path)) return false
  return path === pattern || !operations().some((other) => other.path === path && other.method === method)
}

function fits(path: string, pattern: string): boolean {
  const [segments, wanted] = [path.split('/'), pattern.split('/')]
  return (
    segments.length === wanted.length && wanted.every((one, index) => one === segments[index] || one.startsWith('{'))
  )
}

function templateOf(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}')
}

function gap({ path, service = 'user' }: Operation) {
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const operation = {
    summary: `No description: the ${service} service does not answer`,
    parameters,
    responses: {},
    'x-missing': true,
  }
  return { service, path, operation }
}

function publicOperation(operation: Json, path: string, { method, streams, scope }: Operation): Json {
  const added = refusalResponses([
    ...refusals.always,
    ...(unsafe.has(method) ? refusals.unsafe : []),
    ...(streams ? refusals.streams : []),
    ...(scope ? refusals.scoped : []),
  ])
  const security = scope && { security: [...anybody, { apiKey: [scope] }] }
  return {
    tags: [sectionOf(path, operation)],
    ...operation,
    ...security,
    responses: joined(operation.responses, added),
  }
}

/** Where both have a status, its codes are listed together; the shape is the service's. */
function joined(responses: Json, added: Json): Json {
  const all = { ...responses }
  for (const [status, response] of Object.entries(added)) {
    const codes = new Set([all[status]?.description, response.description].flatMap((text) => text?.split(' · ') ?? []))
    all[status] = { ...response, ...all[status], description: [...codes].join(' · ') }
  }
  return all
}

/** The schemas that operations refer to. Two services may have one name for two things: the second one's is prefixed. */
function createSchemas() {
  const schemas = new Map<string, Json>()
  /** Each as its service wrote it, to compare by. */
  const texts = new Map<string, string>()
  return { named, all: () => Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1))) }

  /** The part of `source`, a service's description, with references into the merged one. */
  function named(part: unknown, service: string, source: OpenApi | undefined): unknown {
    if (Array.isArray(part)) return part.map((inner) => named(inner, service, source))
    if (typeof part !== 'object' || part === null) return part
    const entries = Object.entries(part).map(([key, inner]) => {
      return [key, key === '$ref' ? reference(String(inner), service, source) : named(inner, service, source)]
    })
    return Object.fromEntries(entries)
  }

  function reference(target: string, service: string, source: OpenApi | undefined): string {
    const name = target.replace('#/components/schemas/', '')
    const schema = source?.components.schemas[name]
    if (schema === undefined) return target
    const text = JSON.stringify(schema)
    const unique = (texts.get(name) ?? text) === text ? name : `${service}-${name}`
    if (!texts.has(unique)) {
      texts.set(unique, text) // first: a schema may refer to itself
      schemas.set(unique, named(schema, service, source) as Json)
    }
    return `#/components/schemas/${unique}`
  }
}

/** What the gateway answers itself. */
function ownPaths(): OpenApi['paths'] {
  const json = (schema: Json) => ({ content: { 'application/json': { schema } } })
  const health = (description: string) => ({
    description,
    ...json({ type: 'object', required: ['status'], properties: { status: { type: 'string' } } }),
  })
  const adminOnly = refusalResponses([
    ...refusals.always,
    { kind: 'unauthenticated', code: 'sign-in-required' },
    { kind: 'forbidden', code: 'admin-only' },
  ])
  const topics = {
    summary: 'List the streams of all services',
    responses: {
      200: { description: 'The streams of all services, and those that are unavailable', ...json(StreamOverview) },
      ...adminOnly,
    },
  }
  const live = { summary: 'Check that the process runs', responses: { 200: health('The process runs') } }
  const ready = {
    summary: 'Check that the gateway can serve requests',
    responses: { 200: health('Ready, or degraded'), 503: health('Not ready') },
  }
  const own = Object.entries({ '/health/live': live, '/health/ready': ready, [topicListPath]: topics })
  return Object.fromEntries(own.map(([path, get]) => [path, { get: { tags: [sectionOf(path, get)], ...get } }]))
}
