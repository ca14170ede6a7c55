/**
 * How requests are checked: by AJV, against the TypeBox schema of the route. A body is taken as it is (a number in quotes is not a
 * number); query, path and headers are text and so are converted. Each object of a request's schema says whether fields that it does not
 * know are refused, so a client that misspells `quantity` gets an error. Checking stops at the first mistake: collecting all of them is
 * work an attacker chooses.
 */
import type { FieldError } from '@shop/contracts/problem'
import { Ajv, type Options } from 'ajv'
import addFormats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'

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

const exact = createAjv({})
/**
 * 'array', so that ?sku=a is a list of one where the schema wants a list. AJV converts 1e309 to Infinity; with strict numbers it would
 * then compare it with no bound.
 */
const converting = createAjv({ coerceTypes: 'array', strictNumbers: false })

/** For Fastify, which compiles the schemas of all routes before it listens: a schema that cannot be compiled ends the start. */
export function createValidatorCompiler(): FastifySchemaCompiler<Schema> {
  return ({ schema, httpPart }) => {
    if (httpPart !== 'headers') requireStatedFields(schema)
    const check = (httpPart === 'body' ? exact : converting).compile(schema)
    return (value: unknown) => {
      const holder = { value }
      // A converted value at the root (text that becomes a list) is written into its parent.
      return check(value, { parentData: holder, parentDataProperty: 'value' } as never)
        ? { value: holder.value }
        : { error: check.errors as never }
    }
  }
}

/**
 * The same check, exact, for a value that does not come through a route: a cursor, an event, another service's answer. Returns the
 * mistakes; an empty list when there are none. Unknown fields are mistakes where the schema has `additionalProperties: false`.
 */
export function createCheck(schema: TSchema): (value: unknown) => FieldError[] {
  const check = exact.compile(schema)
  return (value) => (check(value) ? [] : fieldProblems(check.errors ?? [], 'body'))
}

function createAjv(more: Options): Ajv {
  const ajv = new Ajv({ ...options, ...more })
  addFormats.default(ajv)
  // Stricter than ajv-formats, which also takes urn:uuid:… and so lets through what Postgres refuses.
  ajv.addFormat('uuid', /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i)
  return ajv
}

/**
 * Throws for an object that does not say `additionalProperties`: by JSON Schema's default, fields that it does not know would be ignored.
 * Parts of an intersection are passed over: each sees the others' fields.
 */
function requireStatedFields(schema: unknown): void {
  if (Array.isArray(schema)) schema.forEach(requireStatedFields)
  if (!isRecord(schema)) return
  const { type, properties, additionalProperties, items, prefixItems, anyOf, oneOf } = schema
  const named = isRecord(properties) ? properties : {}
  if (type === 'object' && properties !== undefined && additionalProperties === undefined)
    throw new TypeError(`additionalProperties is missing in an object of the schema (${Object.keys(named)})`)
  requireStatedFields([...Object.values(named), additionalProperties, items, prefixItems, anyOf, oneOf])
}

function isRecord(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
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
export function fieldProblems(errors: readonly ValidationError[], context: string): FieldError[] {
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
  additionalProperties: () => 'is unknown',
  unevaluatedProperties: () => 'is unknown',
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
