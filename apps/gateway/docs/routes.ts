/** /docs: the public API as a page to try it, and as OpenAPI in /docs/json and /docs/yaml. All files are served from here. */
import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import type { OpenApi } from '@shop/service-kit/http/openapi'
import type { Server } from '@shop/service-kit/http/server'
import type { createDescriptions, Descriptions } from './descriptions.ts'
import { gatewayName, mergeDescriptions } from './merge.ts'

/** The page has inline styles and pictures. Its scripts are files of ours, and it may send requests to this origin only. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

export function docsRoutes(server: Server, descriptions: ReturnType<typeof createDescriptions>) {
  let merged: { of: ReadonlyMap<string, OpenApi>; result: OpenApi } | undefined

  server.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, limits: 'docs' }
    })
    await scope.register(fastifySwagger, { mode: 'static', specification: { document: {} as never } })
    await scope.register(fastifySwaggerUi, {
      routePrefix: '/docs',
      staticCSP: contentSecurityPolicy,
      // The plugin wants the document at once: what has to be waited for is done before its handler.
      uiHooks: {
        preHandler: async ({ url }) => {
          if (/^\/docs\/(json|yaml)/.test(url)) await merge(await descriptions.current())
        },
      },
      transformSpecification: () => (merged?.result ?? {}) as never,
      transformSpecificationClone: false,
      uiConfig: { docExpansion: 'list', tryItOutEnabled: true, persistAuthorization: false },
    })
  })

  async function merge(of: Descriptions) {
    if (merged?.of === of) return
    const own = await server.describeApi()
    merged = { of, result: mergeDescriptions(new Map([...of, [gatewayName, own]])) }
  }
}
