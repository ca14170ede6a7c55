/**
 * /docs/json: the OpenAPI description of a service, from the schemas of its routes. Nothing of it is loaded before the first request.
 *
 * A schema that contracts export has its name in `components`. A route names the errors that it throws itself (`config.refusals`); those
 * that the server adds for every route follow from its schemas.
 */
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Problem } from '@shop/contracts/problem'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { type TSchema, Type } from 'typebox'
import type { ErrorMaker } from './errors.ts'
import { statusOfKind } from './problem.ts'

export interface OpenApiInfo {
  title: string
  /** @default '1' */
  version?: string
}

/** A JSON Schema, or a part of an OpenAPI document: read and written, never interpreted by the compiler. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is the specification's
export type Json = Record<string, any>

export interface OpenApi extends Json {
  openapi: string
  info: Json
  paths: Record<string, Record<string, Json>>
  components: { schemas: Record<string, Json> } & Json
}

/** What an answer without a body is described by. */
export const noBody = (description: string) => Type.Unsafe<undefined>({ type: 'null', description })

declare module 'fastify' {
  interface FastifyInstance {
    /** The description of the routes of this process. Made once. */
    describeApi(): Promise<OpenApi>
  }
  interface FastifyContextConfig {
    /** Left out of the API description. */
    internal?: boolean
    /** The errors that the route throws, for the API description. */
    refusals?: readonly ErrorMaker[]
    /** The headers that the route checks itself, for the API description. */
    describedHeaders?: TSchema
    /** An example per content type of a body that the route reads piece by piece, for the API description. */
    describedBody?: Record<string, string>
  }
}

/** Call it before the routes are declared: it remembers each of them. */
export function describeRoutes(server: FastifyInstance, { title, version = '1' }: OpenApiInfo): void {
  const routes: RouteOptions[] = []
  let description: Promise<OpenApi> | undefined
  server.addHook('onRoute', (route) => {
    const isHidden = route.config?.internal || (route.schema as Json | undefined)?.hide
    if (route.method !== 'HEAD' && !isHidden) routes.push(route)
  })
  server.decorate('describeApi', () => {
    description ??= describe(routes, { title, version })
    return description
  })
}

export function serveDescription(server: FastifyInstance): void {
  server.get('/docs/json', { config: { public: true, internal: true } }, () => server.describeApi())
}

/** The generator wants to see routes being declared, so they are declared again on a server that never listens. */
async function describe(routes: readonly RouteOptions[], info: { title: string; version: string }): Promise<OpenApi> {
  const [{ fastify }, { fastifySwagger }, names] = await Promise.all([
    import('fastify'),
    import('@fastify/swagger'),
    contractNames(),
  ])
  const paper = fastify({ exposeHeadRoutes: false })
  paper.setValidatorCompiler(() => () => true)
  paper.setSerializerCompiler(() => () => '')
  await paper.register(fastifySwagger, {
    openapi: { openapi: '3.1.0', info },
    refResolver: { buildLocalReference: ({ $id }, _base, _fragment, index) => String($id ?? `def-${index}`) },
  })
  const withReferences = createReferences(names, (name, schema) => paper.addSchema({ ...schema, $id: name }))
  for (const { method, url, schema = {}, config } of routes) {
    const { response, ...parts } = schema as Json
    const body = parts.body ?? (config?.describedBody && textBody(config.describedBody))
    const answers = { ...refusals(parts, takesBody(method), config?.refusals), ...response }
    const headers = config?.describedHeaders ?? parts.headers
    const described = {
      ...parts,
      ...(headers && { headers }),
      ...(body && { body: withReferences(body) }),
      response: withReferences(answers),
    }
    paper.route({ method, url, schema: described, handler: () => '' })
  }
  await paper.ready()
  const description = paper.swagger()
  await paper.close()
  return description as unknown as OpenApi
}

/** A body that the route reads piece by piece has content types and no schema. */
function textBody(examples: Record<string, string>): Json {
  const content = Object.entries(examples).map(([type, example]) => {
    return [type, { schema: { type: 'string', examples: [example] } }]
  })
  return { content: Object.fromEntries(content) }
}

type Coded = Pick<ErrorMaker, 'kind' | 'code' | 'members'>

/** What the server says no with, whatever the route is for. */
const byServer: Record<'always' | 'params' | 'body', readonly Coded[]> = {
  always: [
    { kind: 'invalid', code: 'url-malformed' },
    { kind: 'invalid', code: 'nul-character' },
    { kind: 'invalid', code: 'validation-failed' },
    { kind: 'unavailable', code: 'dependency-unavailable' },
  ],
  params: [{ kind: 'url-too-long', code: 'url-too-long' }],
  body: [
    { kind: 'invalid', code: 'body-empty' },
    { kind: 'invalid', code: 'body-not-json' },
    { kind: 'invalid', code: 'body-not-utf8' },
    { kind: 'too-large', code: 'body-too-large' },
    { kind: 'unsupported-media-type', code: 'unsupported-media-type' },
  ],
}

/** Also without a schema: a body that the route does not take is refused by its type. */
function takesBody(method: RouteOptions['method']): boolean {
  return [method].flat().some((one) => one !== 'GET' && one !== 'HEAD')
}

function refusals(parts: Json, hasBody: boolean, own: readonly Coded[] = []): Json {
  const all = [...byServer.always, ...(parts.params ? byServer.params : []), ...(hasBody ? byServer.body : []), ...own]
  return refusalResponses(all)
}

/** One response per status, which names the codes that it may have. */
export function refusalResponses(errors: readonly Coded[]): Record<string, Json> {
  const byStatus = Map.groupBy(errors, ({ kind }) => statusOfKind[kind])
  const entries = [...byStatus].map(([status, ofStatus]) => {
    const codes = new Set(ofStatus.map(({ code }) => code))
    const description = [...codes].map((code) => `\`${code}\``).join(' · ')
    return [status, { description, content: { 'application/problem+json': { schema: shapeOf(ofStatus) } } }] as const
  })
  return Object.fromEntries(entries)
}

/** A problem, or one with the members that some errors of this status add. */
function shapeOf(errors: readonly Coded[]): Json {
  const extended = errors.flatMap(({ members }) => (members ? [{ allOf: [Problem, members] }] : []))
  return extended.length > 0 ? { anyOf: [...extended, Problem] } : Problem
}

/** Every schema that contracts export, with its name. */
async function contractNames(): Promise<Map<unknown, string>> {
  const folder = dirname(fileURLToPath(import.meta.resolve('@shop/contracts/problem')))
  const files = (await readdir(folder)).filter((file) => file.endsWith('.ts') && !file.includes('.test.'))
  const modules: Json[] = await Promise.all(files.map((file) => import(join(folder, file))))
  const schemas = modules.flatMap((exported) => Object.entries(exported)).filter(([, value]) => isObjectSchema(value))
  return new Map(schemas.map(([name, schema]) => [schema, name]))
}

/** Scalars stay where they are: a reference to a string tells less than the string. */
function isObjectSchema(value: unknown): boolean {
  return typeof value === 'object' && (value as Json | null)?.type === 'object'
}

/** Replaces the schemas that have a name by references, and declares each the first time. */
function createReferences(names: Map<unknown, string>, declare: (name: string, schema: Json) => void) {
  const declared = new Set<string>()
  return withReferences

  function withReferences(value: Json): Json {
    const name = names.get(value)
    if (name === undefined) return replaceIn(value)
    if (!declared.has(name)) {
      declared.add(name)
      declare(name, replaceIn(value))
    }
    return { $ref: `${name}#` }
  }

  function replaceIn(value: Json): Json {
    if (Array.isArray(value)) return value.map(replaceAny)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, replaceAny(inner)]))
  }

  function replaceAny(value: unknown): unknown {
    return typeof value === 'object' && value !== null ? withReferences(value as Json) : value
  }
}
