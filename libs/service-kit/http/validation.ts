/**
 * How requests are checked: by AJV, against the TypeBox schema of the route. A body is taken as it is (a number in quotes is not a
 * number); query, path and headers are text and so are converted. Fields that the schema does not know are refused, not dropped: a
 * client that misspells `quantity` hears of it. Checking stops at the first mistake: collecting all of them is work an attacker chooses.
 */
import { createRequire } from 'node:module'
import type { Ajv } from 'ajv'
import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { createDeferrals, type Deferrals } from '../deferral.ts'
import type { FieldProblem } from './errors.ts'

type Schema = Record<string, unknown>

const require = createRequire(import.meta.url)

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

/** For Fastify. Schemas are compiled later: see deferral.ts. */
export function createValidatorCompiler({ defer }: Deferrals): FastifySchemaCompiler<Schema> {
  const exact = defer(() => createAjv(false))
  // 'array' so that ?sku=a is a list of one where the schema wants a list
  const converting = defer(() => createAjv('array'))
  return ({ schema, httpPart }) => {
    const compiled = defer(() => {
      const ajv = httpPart === 'body' ? exact() : converting()
      return ajv.compile(httpPart === 'headers' ? schema : (closed(schema) as Schema))
    })
    return (value: unknown) => {
      const holder = { value }
      const check = compiled()
      // A converted value at the root (text that becomes a list) is written into its parent.
      return check(value, { parentData: holder, parentDataProperty: 'value' } as never)
        ? { value: holder.value }
        : { error: check.errors as never }
    }
  }
}

export interface CheckOptions {
  /** Whether fields that the schema does not name are mistakes. @default 'refused' */
  unknownFields?: 'refused' | 'allowed'
}

/**
 * The same check for what does not come through a route (a cursor, an event, another service's answer): exact, by a function that is
 * generated at its first use. Answers with what is wrong, so nothing when all is well.
 */
export function createCheck(
  schema: TSchema,
  { unknownFields = 'refused' }: CheckOptions = {},
): (value: unknown) => FieldProblem[] {
  const compiled = createDeferrals().defer(() =>
    createAjv(false).compile(unknownFields === 'refused' ? (closed(schema) as Schema) : schema),
  )
  return (value) => {
    const check = compiled()
    return check(value) ? [] : fieldProblems(check.errors ?? [], 'body')
  }
}

/** Stricter than ajv-formats, which also takes urn:uuid:… and so lets through what Postgres refuses. */
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

function createAjv(coerceTypes: false | 'array'): Ajv {
  const { Ajv } = require('ajv') as typeof import('ajv')
  const addFormats = require('ajv-formats') as typeof import('ajv-formats')
  const ajv = new Ajv({ ...options, coerceTypes })
  addFormats.default(ajv)
  ajv.addFormat('uuid', uuid)
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

/** What AJV says of one mistake. */
export interface ValidationError {
  instancePath?: string
  keyword?: string
  message?: string
  params?: Record<string, unknown>
}

/** At most this many are named: a union has many branches, and each says no in its own way. */
const maxFields = 20

/** What a client is told: which field, what is wrong with it, and a stable code for the sort of mistake. */
export function fieldProblems(errors: readonly ValidationError[], context: string): FieldProblem[] {
  return joinBranches(errors)
    .slice(0, maxFields)
    .map(({ instancePath = '', keyword = 'invalid', message = 'is not valid', params = {} }) => {
      const named = params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty
      const pointer = typeof named === 'string' ? `${instancePath}/${escapePointer(named)}` : instancePath
      return {
        path: context === 'body' ? pointer : pointer.slice(1),
        message: plainMessages[keyword]?.(params) ?? message,
        code: plainCodes[keyword] ?? keyword,
      }
    })
}

/** A union of literals fails once per literal and once as a whole: together that is one field which must be one of them. */
function joinBranches(errors: readonly ValidationError[]): readonly ValidationError[] {
  if (errors.length === 1) return errors
  const joined = new Map<string, ValidationError>()
  const literals = new Map<string, unknown[]>()
  for (const error of errors) {
    const { instancePath = '', keyword = '', params = {} } = error
    if (keyword === 'anyOf' || keyword === 'oneOf') continue
    if (keyword !== 'const') {
      joined.set(`${instancePath} ${joined.size}`, error)
      continue
    }
    const allowedValues = literals.get(instancePath) ?? []
    allowedValues.push(params.allowedValue)
    literals.set(instancePath, allowedValues)
    joined.set(instancePath, { instancePath, keyword: 'enum', params: { allowedValues } })
  }
  return joined.size > 0 ? [...joined.values()] : errors
}

const plainMessages: Record<string, (params: Record<string, unknown>) => string> = {
  required: () => 'is required',
  additionalProperties: () => 'is not known',
  unevaluatedProperties: () => 'is not known',
  enum: ({ allowedValues }) => `must be one of ${(allowedValues as unknown[]).join(', ')}`,
}

const plainCodes: Record<string, string> = {
  additionalProperties: 'unknown-field',
  unevaluatedProperties: 'unknown-field',
}

function escapePointer(name: string): string {
  return name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')
}

/** What people call the part of the request that Fastify names so. */
export function partName(context: string): string {
  return { querystring: 'query', params: 'path', headers: 'set of headers' }[context] ?? context
}
