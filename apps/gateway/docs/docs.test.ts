import { Order } from '@shop/contracts/order'
import { Problem } from '@shop/contracts/problem'
import type { OpenApi } from '@shop/service-kit/http/openapi'
import { afterAll, describe, expect, it } from 'vitest'
import { type Answer, startGateway } from '../gateway.fixture.ts'
import { routes, services } from '../routes.ts'
import { mergeDescriptions } from './merge.ts'

const problem = {
  description: '`own`',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}
const operation = (name: string) => ({
  responses: {
    200: { description: 'x', content: { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } } },
    503: problem,
  },
})

function description(paths: OpenApi['paths'], schemas: OpenApi['components']['schemas'] = {}): OpenApi {
  return { openapi: '3.1.0', info: {}, paths, components: { schemas: { Problem, ...schemas } } }
}

const catalog = description(
  {
    '/api/products/{sku}': { get: operation('Thing'), delete: operation('Thing') },
    '/api/products/quote': { get: operation('Quote') },
    '/internal/{id}': { get: operation('Quote') },
    '/health/live': { get: {} },
  },
  { Thing: { type: 'object', properties: { order: { $ref: '#/components/schemas/Order' } } }, Quote: {}, Order },
)
const user = description(
  { '/api/sessions/current': { delete: operation('Thing') }, '/api/sessions/{id}': { delete: operation('Thing') } },
  { Thing: { type: 'string' } },
)
const order = description({ '/api/orders/{id}': { get: operation('Order') } }, { Order })
/** Every service describes itself; those that these tests do not name have no paths. */
const descriptions: Record<string, OpenApi> = {
  ...Object.fromEntries(services.map((name) => [name, description({})])),
  ...{ catalog, user, order },
}
const merged = mergeDescriptions(new Map(Object.entries(descriptions)))

describe('the merged description', () => {
  it('begins with accounts, then products, cart and orders, and ends with what only administrators may call', () => {
    const adminOnly = { responses: { 403: { description: '`admin-only`' } } }
    const withAdmin = description({ '/api/products/{sku}': { get: operation('Thing'), delete: adminOnly } })
    const { paths, tags } = mergeDescriptions(new Map(Object.entries({ catalog: withAdmin, user, order })))
    const names = tags.map(({ name }: { name: string }) => name)
    // Another service may have a section of its own between them.
    const known = ['Accounts and sessions', 'Products', 'Cart', 'Orders', 'Administration', 'Health']
    expect(names.filter((name: string) => known.includes(name))).toEqual(known)
    expect([names[0], ...names.slice(-2)]).toEqual(['Accounts and sessions', 'Administration', 'Health'])
    expect(paths['/api/products/{sku}']).toMatchObject({
      get: { tags: ['Products'] },
      delete: { tags: ['Administration'] },
    })
    const used = Object.values(paths).flatMap((methods) =>
      Object.values(methods).flatMap((one) => one.tags as string[]),
    )
    expect([...new Set(used)].sort()).toEqual([...names].sort())
    expect(Object.keys(paths)[0]).toBe('/api/users')
  })

  it('has what the gateway lets through, and nothing that services only ask each other', () => {
    const { paths } = merged
    expect(paths['/api/products/{sku}']?.get).toMatchObject({ tags: ['Products'] })
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/api/sessions/current', '/api/sessions/{id}', '/health/live']),
    )
    expect(Object.keys(paths).filter((path) => /quote|internal/.test(path))).toEqual([])
  })

  it('has one schema for what services share, and two for two things of one name', () => {
    const { schemas } = merged.components
    expect(Object.keys(schemas)).toEqual(['Order', 'Problem', 'Thing', 'user-Thing'])
    expect(JSON.stringify(merged.paths['/api/sessions/current'])).toContain('"#/components/schemas/user-Thing"')
    expect(schemas.Thing?.properties.order).toEqual({ $ref: '#/components/schemas/Order' })
  })

  it('names the codes of the service and those of the gateway under one status', () => {
    const responses = merged.paths['/api/products/{sku}']?.delete?.responses
    expect(responses?.[503]?.description).toBe(
      '`own` · `limits-unavailable` · `overloaded` · `sessions-unavailable` · `service-unavailable`',
    )
    expect(responses?.[403]?.description).toContain('`origin-not-allowed`')
    expect(responses?.[429]?.description).toContain('`too-many-requests`')
  })

  it('lists the routes of a service that has never answered, and says that it is missing', () => {
    const { order: _missing, ...others } = descriptions
    const without = mergeDescriptions(new Map(Object.entries(others)))
    expect(without['x-missing-services']).toEqual(['order'])
    expect(without.info.description).toContain('The order service does not answer now')
    expect(without.paths['/api/orders/{id}']?.get).toMatchObject({ 'x-missing': true, tags: ['Orders'] })
  })

  it('refers to nothing that is not there, whichever service is missing', () => {
    for (const services of [{}, { catalog }, { catalog, user, order }]) {
      const text = JSON.stringify(mergeDescriptions(new Map(Object.entries(services))))
      const { components } = JSON.parse(text) as OpenApi
      for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
        expect(Object.keys(components.schemas)).toContain(name)
      }
    }
  })
})

const asked: string[] = []
const answer =
  (service: string): Answer =>
  (request, response) => {
    asked.push(`${service} ${request.url}`)
    response.setHeader('content-type', 'application/json').end(JSON.stringify(descriptions[service]))
  }
const answers = Object.fromEntries(services.map((name) => [name, answer(name)]))
const gateway = await startGateway({}, answers)
afterAll(gateway.stop)

describe('/docs', () => {
  it('serves the description as JSON and as YAML, asking each service once', async () => {
    const responses = await Promise.all(Array.from({ length: 5 }, () => fetch(`${gateway.url}/docs/json`)))
    const [first] = (await Promise.all(responses.map((response) => response.json()))) as OpenApi[]
    expect(Object.keys(first?.paths ?? {})).toEqual(Object.keys(merged.paths))
    expect(asked.sort()).toEqual(services.map((name) => `${name} /docs/json`).sort())
    expect(await (await fetch(`${gateway.url}/docs/yaml`)).text()).toMatch(/^openapi: 3\.1\.0$/m)
  })

  it('has the routes that the gateway answers itself, with their bodies, examples and refusals', async () => {
    const { paths, components } = (await (await fetch(`${gateway.url}/docs/json`)).json()) as OpenApi
    const { get, put } = { ...paths['/api/console/limits'], ...paths['/api/console/limits/{policy}'] }
    expect(get).toMatchObject({ summary: 'Show the limits in force', tags: ['Administration'] })
    expect(put?.requestBody.content['application/json'].schema.$ref).toBe('#/components/schemas/LimitOverride')
    expect(components.schemas.LimitOverride?.examples).toHaveLength(1)
    expect(put?.responses[409].description).toContain('`policy-changed`')
    expect(put?.responses[403].description).toContain('`origin-not-allowed`')
  })

  it('is a page whose scripts and styles all come from here, under a policy that allows no others', async () => {
    for (const path of ['/docs', '/docs/']) {
      const response = await fetch(gateway.url + path)
      const html = await response.text()
      expect(response.headers.get('content-security-policy')).toContain("script-src 'self';")
      expect(html).not.toMatch(/(src|href)="(https?:)?\/\//)
      expect(html).not.toMatch(/<script(?![^>]*src=)/)
      for (const [, file = ''] of html.matchAll(/(?:src|href)="([^"]+\.(?:js|css))"/g)) {
        const asset = await fetch(new URL(file, response.url))
        expect([file, asset.status]).toEqual([file, 200])
        await asset.arrayBuffer()
      }
    }
  })

  it('has a problem for a file that is not there', async () => {
    const response = await fetch(`${gateway.url}/docs/static/none.js`)
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([404, 'route-not-found'])
  })
})

describe('while services are away', () => {
  it('/docs/json answers with the gap marked, and is whole when they are back', async () => {
    const refuse: Answer = (_request, response) => response.writeHead(500).end('no')
    const nonsense: Answer = (_request, response) => response.end('not JSON')
    let isBack = false
    const later: Answer = (request, response) => (isBack ? answer('order') : refuse)(request, response)
    const other = await startGateway({}, { ...answers, user: nonsense, order: later })
    const ask = async () => (await fetch(`${other.url}/docs/json`)).json() as Promise<OpenApi>
    expect((await ask())['x-missing-services']).toEqual(['user', 'order'])
    isBack = true
    expect((await ask())['x-missing-services']).toEqual(['user'])
    await other.stop()
  })
})

it('every public route has a place in it', () => {
  const templates = Object.keys(mergeDescriptions(new Map()).paths)
  for (const { path } of routes) expect(templates).toContain(path.replaceAll(/:(\w+)/g, '{$1}'))
})
