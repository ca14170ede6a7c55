/** What can be asked of the shop, from its own description: /docs/json. */
import type { Json, OpenApi } from '@shop/service-kit/http/openapi'

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required: boolean
  schema: Json
}

export interface Operation {
  /** `GET /api/products/{sku}` */
  name: string
  method: string
  path: string
  parameters: Parameter[]
  /** By content type. */
  bodies: [contentType: string, schema: Json][]
  /** By status; the schema of a JSON answer. */
  answers: Map<number, Json | undefined>
}

export function operationsOf({ paths, components }: OpenApi): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const { parameters = [], requestBody = {}, responses } = resolved(operation, components.schemas) as Json
      return {
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        parameters,
        bodies: Object.entries((requestBody.content ?? {}) as Json).map(([type, { schema }]) => [type, schema]),
        answers: new Map(
          Object.entries(responses as Json).map(([status, { content }]) => [
            Number(status),
            content?.['application/json']?.schema,
          ]),
        ),
      }
    }),
  )
}

/** With every reference replaced by the schema that it names. No schema of the shop refers to itself. */
function resolved(value: unknown, schemas: Record<string, Json>): unknown {
  if (Array.isArray(value)) return value.map((inner) => resolved(inner, schemas))
  if (typeof value !== 'object' || value === null) return value
  const { $ref } = value as Json
  if (typeof $ref === 'string') return resolved(schemas[$ref.split('/').at(-1) as string], schemas)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner, schemas)]))
}
