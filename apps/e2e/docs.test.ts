/** What the running shop says of itself: /docs/json, merged from the descriptions of its services. */
import type { Cart } from '@shop/contracts/cart'
import type { Order } from '@shop/contracts/order'
import type { ImportReport } from '@shop/contracts/product'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { expect, it } from 'vitest'
import { baseUrl, createShopper, type Shopper, signIn } from './shopper.ts'
import { accounts, ownStack } from './stack.ts'

interface Schema {
  $ref?: string
  examples?: unknown[]
}

interface Media {
  example?: unknown
  schema: Schema
}

interface Operation {
  summary?: string
  tags: string[]
  parameters?: ({ name: string; in: string } & Media)[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>
}
type Description = {
  openapi: string
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

const response = await fetch(`${baseUrl}/docs/json`)
const description = (await response.json()) as Description
const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

it('is whole, and names nothing that services only ask each other', () => {
  expect(response.status).toBe(200)
  expect(description).toMatchObject({ openapi: '3.1.0' })
  expect(description).not.toHaveProperty('x-missing-services')
  expect(Object.keys(description.paths).filter((path) => path.includes('quote'))).toEqual([])
})

it.each(operations)('$method $path has its parameters, its answers and its refusals', ({ path, method, operation }) => {
  const { parameters = [], responses } = operation
  const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`)
  expect(inPath.sort()).toEqual((path.match(/\{\w+\}/g) ?? []).sort())
  const success = Object.entries(responses).filter(([status]) => status < '300')
  expect(success.length).toBeGreaterThan(0)
  for (const [status, { content }] of success) expect(status === '204' || content !== undefined).toBe(true)
  if (path.startsWith('/api/')) expect(Object.keys(responses)).toEqual(expect.arrayContaining(['429', '503', '504']))
  if (['put', 'patch'].includes(method)) expect(operation.requestBody).toBeDefined()
})

it.each(operations)('$method $path says in words what it does and what it answers', ({ operation }) => {
  const { summary, responses, tags } = operation
  expect(summary).toMatch(/^[A-Z][a-z]+ /)
  expect(description.tags.map(({ name }) => name)).toEqual(expect.arrayContaining(tags))
  for (const { description } of Object.values(responses)) expect(description).not.toMatch(/^(Default Response)?$/)
})

it.each(operations.filter(({ operation }) => operation.requestBody))(
  '$method $path has an example of its body that its schema accepts',
  ({ operation }) => {
    for (const media of Object.values(operation.requestBody?.content ?? {})) {
      expect(exampleOf(media)).toBeDefined()
      expect(Value.Check(resolved(media.schema) as TSchema, exampleOf(media))).toBe(true)
    }
  },
)

it('leads from a new account to an order by its examples alone', async () => {
  const shopper = createShopper()
  const registered = await execute(shopper, 'post', '/api/users')
  // A shop that was tested before has the account.
  expect([201, 409]).toContain(registered.status)
  expect((await execute(shopper, 'post', '/api/sessions')).status).toBe(201)
  const put = await execute<Cart>(shopper, 'put', '/api/cart/items/{sku}')
  expect([put.status, put.body.items]).toEqual([200, [{ sku: expect.any(String), quantity: 1 }]])
  const ordered = await execute<Order>(shopper, 'post', '/api/orders')
  expect([ordered.status, ordered.body.items]).toMatchObject([202, put.body.items])
})

it.skipIf(!ownStack)('adds, changes and imports products by its examples alone', async () => {
  const admin = await signIn(accounts.find(({ role }) => role === 'admin') as (typeof accounts)[0])
  expect((await execute(admin, 'post', '/api/products')).status).toBe(201)
  expect((await execute(admin, 'patch', '/api/products/{sku}')).status).toBe(200)
  const types = Object.keys(description.paths['/api/products/import']?.post?.requestBody?.content ?? {})
  expect(types).toEqual(['application/x-ndjson', 'text/csv'])
  for (const type of types) {
    const { status, body } = await execute<ImportReport>(admin, 'post', '/api/products/import', type)
    expect([status, body]).toMatchObject([200, { lineCount: 1, refusedCount: 0 }])
  }
})

/** Presses "Execute": the request has the examples and nothing else. */
function execute<Body>(shopper: Shopper, method: string, path: string, type = 'application/json') {
  const { parameters = [], requestBody }: Partial<Operation> = description.paths[path]?.[method] ?? {}
  const examples = (place: string) =>
    parameters.filter((one) => one.in === place).map((one) => [one.name, String(exampleOf(one))] as const)
  const url = examples('path').reduce((text, [name, value]) => text.replace(`{${name}}`, value), path)
  const media = requestBody?.content[type]
  return shopper.send<Body>(method.toUpperCase(), url, {
    body: media && exampleOf(media),
    headers: { ...Object.fromEntries(examples('header')), ...(media && { 'content-type': type }) },
  })
}

/** The value that the page fills in. */
function exampleOf({ example, schema }: Media): unknown {
  return example ?? (resolved(schema) as Schema).examples?.[0]
}

/** With every reference replaced by the schema that it names. */
function resolved(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolved)
  if (typeof value !== 'object' || value === null) return value
  const { $ref } = value as Schema
  if (typeof $ref === 'string') return resolved(description.components.schemas[$ref.split('/').at(-1) as string])
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner)]))
}
