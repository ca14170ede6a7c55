/**
 * Events of the contracts as the text of a message, there and back; and what every consumer does with a message.
 *
 *     for await (const message of orders.read({ group: 'catalog', … })) {
 *       await settle(message, { schema: OrderEvent, handle: (event) => reserve(event), log })
 *     }
 */
import type { Message } from '@shop/redis-kit/stream'
import type { Static, TSchema, TUnion } from 'typebox'
import { createCheck } from '../http/validation.ts'
import type { Log } from '../telemetry/log.ts'
import { type Origin, originIn } from '../telemetry/origin.ts'

export type Decoded<Event> =
  | { status: 'event'; event: Event }
  /** Of a type that this reader does not know: a newer service tells of something that does not concern us. */
  | { status: 'unknown-type' }
  | { status: 'undecodable'; error: Error }

/** The body of an event that happens now. `origin`: the request that causes it, or what the event that causes it says of it. */
export function encodeEvent(event: { id: string; type: string; data: object }, origin: Origin = {}): string {
  const { id, type, data } = event
  return JSON.stringify({ id, type, occurredAtMs: Date.now(), ...originIn(origin), data })
}

interface Handling<Schema extends TUnion> {
  schema: Schema
  /** Its effect; the event may come again after it, and will if it rejects. */
  handle(event: Static<Schema>): Promise<unknown>
  log: Pick<Log, 'info' | 'warn'>
}

/**
 * One message: decoded, handled, acknowledged. What cannot be read becomes a dead letter at once, what fails comes again, and an unknown
 * type is passed over. One log line for each event that is handled, as there is one for each request, under the same requestId.
 */
export async function settle<Schema extends TUnion>(
  message: Message,
  { schema, handle, log }: Handling<Schema>,
): Promise<void> {
  const startedMs = performance.now()
  const decoded = decodeEvent(schema, message)
  if (decoded.status === 'undecodable') return void (await message.reject(decoded.error))
  const fields = decoded.status === 'event' ? fieldsOf(message, decoded.event as object) : undefined
  try {
    if (decoded.status === 'event') await handle(decoded.event)
    await message.ack()
    if (fields)
      log.info({ ...fields, durationMs: Math.round((performance.now() - startedMs) * 100) / 100 }, 'event handled')
  } catch (error) {
    const outcome = await message.fail(error)
    log.warn({ ...fields, outcome, err: error }, 'event failed')
  }
}

/** Never its data: that is about a customer. */
function fieldsOf({ type, eventId, key, deliveryCount }: Message, event: object) {
  return { type, eventId, key, deliveryCount, ...originIn(event) }
}

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
      error: new Error(`${type} does not match its schema: ${problem.path} ${problem.message}`),
    }
  }
  return { status: 'event', event: event as Static<Schema> }
}

/** One compiled check per schema. */
const checks = new WeakMap<TSchema, ReturnType<typeof createCheck>>()

function checkOf(schema: TSchema) {
  const known = checks.get(schema)
  if (known) return known
  const check = createCheck(schema)
  checks.set(schema, check)
  return check
}
