/** What the running shop says of itself: /docs/json, merged from the descriptions of its services. */
import { expect, it } from 'vitest'
import { baseUrl } from './shopper.ts'

interface Operation {
  parameters?: { name: string; in: string }[]
  requestBody?: { content: Record<string, { schema: object }> }
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>
}
type Description = { openapi: string; paths: Record<string, Record<string, Operation>> }

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
