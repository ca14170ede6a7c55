/**
 * How requests are checked: by AJV, against the TypeBox schema of the route. A body is taken as it is (a number in quotes is not a
 * number); query, path and headers are text and so are converted. Fields that the schema does not know are refused, not dropped: a
 * client that misspells `quantity` hears of it. Checking stops at the first mistake: collecting all of them is work an attacker chooses.
 */
import { Ajv } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'

type Schema = Record<string, unknown>

const options = {
  allErrors: false,
  removeAdditional: false,
  useDefaults: true,
  addUsedSchema: false,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  strictTuples: false,
} as const

export function createValidatorCompiler(): FastifySchemaCompiler<Schema> {
  const exact = withFormats(new Ajv({ ...options, coerceTypes: false }))
  // 'array' so that ?sku=a is a list of one where the schema wants a list
  const converting = withFormats(new Ajv({ ...options, coerceTypes: 'array' }))
  return ({ schema, httpPart }) => {
    const ajv = httpPart === 'body' ? exact : converting
    return ajv.compile(httpPart === 'headers' ? schema : (closed(schema) as Schema))
  }
}

function withFormats(ajv: Ajv): Ajv {
  addFormats.default(ajv)
  return ajv
}

/** Objects that do not say whether they allow unknown fields do not. Parts of an intersection are left alone: each sees the others' fields. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy: Schema = { ...schema }
  for (const key of ['items', 'anyOf', 'oneOf', 'prefixItems', 'additionalProperties']) {
    if (typeof copy[key] === 'object') copy[key] = closed(copy[key])
  }
  if (typeof copy.properties !== 'object' || copy.properties === null) return copy
  const properties = Object.entries(copy.properties).map(([name, property]) => [name, closed(property)])
  copy.properties = Object.fromEntries(properties)
  if (copy.type === 'object') copy.additionalProperties ??= false
  return copy
}
