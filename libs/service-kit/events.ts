/** From the text of a message to an event of the contracts. */
import type { Static, TSchema, TUnion } from 'typebox'
import { createCheck } from './validation.ts'

export type Decoded<Event> =
  | { status: 'event'; event: Event }
  /** Of a type that this reader does not know: a newer service tells of something that does not concern us. */
  | { status: 'unknown-type' }
  | { status: 'undecodable'; error: Error }

interface EventText {
  type: string
  body: string
}

/**
 * Checks a message against a union of event schemas that differ in the literal `type`. Never throws: what cannot be read is an
 * answer, because its reader must put it aside and go on.
 */
export function decodeEvent<Schema extends TUnion>(schema: Schema, { type, body }: EventText): Decoded<Static<Schema>> {
  const variant = (schema.anyOf as (TSchema & { properties: { type: { const: string } } })[]).find(
    ({ properties }) => properties.type.const === type,
  )
  if (!variant) return { status: 'unknown-type' }
  let event: unknown
  try {
    event = JSON.parse(body)
  } catch (cause) {
    return { status: 'undecodable', error: new Error(`the body of ${type} is not JSON`, { cause }) }
  }
  const [problem] = checkOf(variant)(event)
  if (problem) {
    return {
      status: 'undecodable',
      error: new Error(`${type} does not fit its schema: ${problem.path} ${problem.message}`),
    }
  }
  return { status: 'event', event: event as Static<Schema> }
}

/** One compiled check per schema. A newer service may say more than this reader knows: unknown fields are no mistake. */
const checks = new WeakMap<TSchema, ReturnType<typeof createCheck>>()

function checkOf(schema: TSchema) {
  const known = checks.get(schema)
  if (known) return known
  const check = createCheck(schema, { unknownFields: 'allowed' })
  checks.set(schema, check)
  return check
}
