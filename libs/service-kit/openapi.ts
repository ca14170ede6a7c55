/**
 * /docs/json: the OpenAPI description of a service, from the schemas of its routes. Nobody asks for it while a process starts, so
 * nothing of it is loaded until the first request.
 */
import { Problem } from '@shop/contracts/problem'
import type { FastifyInstance, RouteOptions } from 'fastify'

export interface OpenApiInfo {
  title: string
  /** @default '1' */
  version?: string
}

/** Call it before the routes are declared: it remembers each of them. */
export function serveOpenApi(server: FastifyInstance, { title, version = '1' }: OpenApiInfo): void {
  const routes: RouteOptions[] = []
  let description: Promise<unknown> | undefined
  server.addHook('onRoute', (route) => {
    if (route.method !== 'HEAD' && !route.config?.internal) routes.push(route)
  })
  server.get('/docs/json', { config: { public: true, internal: true } }, () => {
    description ??= describe(routes, { title, version })
    return description
  })
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Left out of the API description. */
    internal?: boolean
  }
}

const problemResponse = {
  description: 'What every refusal and failure looks like (RFC 9457)',
  content: { 'application/problem+json': { schema: Problem } },
}

/** The generator wants to see routes being declared, so they are declared again on a server that never listens. */
async function describe(routes: readonly RouteOptions[], info: { title: string; version: string }): Promise<unknown> {
  const [{ fastify }, { fastifySwagger }] = await Promise.all([import('fastify'), import('@fastify/swagger')])
  const paper = fastify()
  paper.setValidatorCompiler(() => () => true)
  paper.setSerializerCompiler(() => () => '')
  await paper.register(fastifySwagger, { openapi: { openapi: '3.1.0', info } })
  for (const { method, url, schema } of routes) {
    const response = { ...(schema?.response as object), default: problemResponse }
    paper.route({ method, url, schema: { ...schema, response }, handler: () => '', exposeHeadRoute: false })
  }
  await paper.ready()
  const description = paper.swagger()
  await paper.close()
  return description
}
