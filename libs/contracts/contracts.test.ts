import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import { CartItemInput, maxCartLines, maxLineQuantity } from './cart.ts'
import { OrderEvent, ProductEvent, StockEvent } from './events.ts'
import { Checkout, IdempotencyKey } from './order.ts'
import { maxPriceCents, maxStockCount, ProductInput, ProductPatch, Sku } from './product.ts'
import { Credentials, ProfilePatch, Registration } from './user.ts'

const schemas = { Registration, ProfilePatch, Credentials, CartItemInput, Checkout, ProductInput, ProductPatch }
const examplesOf = (schema: TSchema) => (schema as { examples?: readonly object[] }).examples ?? []

/** Every body that a client may send, with the examples that its schema gives. */
const bodies = Object.entries(schemas).flatMap(([name, schema]) =>
  examplesOf(schema).map((example) => [name, schema, example] as [string, TSchema, object]),
)

describe('a request body', () => {
  it.each(Object.entries(schemas))('%s has an example', (_, schema) => expect(examplesOf(schema)).not.toEqual([]))
  it.each(bodies)('%s accepts its example', (_, schema, example) => {
    expect(Value.Check(schema, example)).toBe(true)
  })
  it.each(bodies)('%s refuses a field it does not know', (_, schema, example) => {
    expect(Value.Check(schema, { ...example, role: 'admin' })).toBe(false)
  })
  it('refuses quantities and prices outside their limits', () => {
    for (const quantity of [0, -1, 100, 1e9, 1.5, '1']) expect(Value.Check(CartItemInput, { quantity })).toBe(false)
    for (const priceCents of [-1, 0.5, 1e10]) expect(Value.Check(ProductPatch, { priceCents })).toBe(false)
  })
  it('refuses a patch that changes nothing', () => expect(Value.Check(ProductPatch, {})).toBe(false))
})

it.each(Object.entries({ Sku, IdempotencyKey }))('%s accepts its examples', (_, schema) => {
  expect(examplesOf(schema)).not.toEqual([])
  for (const example of examplesOf(schema)) expect(Value.Check(schema, example)).toBe(true)
})

it('limits keep the dearest cart within an exact number, and a price and a stock within 32 bits', () => {
  expect(Number.isSafeInteger(maxCartLines * maxLineQuantity * maxPriceCents)).toBe(true)
  for (const limit of [maxPriceCents, maxStockCount]) expect(limit).toBeLessThan(2 ** 31)
})

describe('an Idempotency-Key', () => {
  it.each(['a', 'f3b2-…'.slice(0, 5), 'x'.repeat(128)])('may be %s', (key) =>
    expect(Value.Check(IdempotencyKey, key)).toBe(true),
  )
  it.each(['', 'with space', 'x'.repeat(129), 'ü'])('may not be "%s"', (key) =>
    expect(Value.Check(IdempotencyKey, key)).toBe(false),
  )
})

/** Every object in a schema, with the path that leads to it. */
function objectsIn(
  schema: unknown,
  path: string,
): [path: string, schema: TSchema & { additionalProperties?: unknown }][] {
  if (typeof schema !== 'object' || schema === null) return []
  const inner = Object.entries(schema).flatMap(([key, value]) => objectsIn(value, `${path}.${key}`))
  return 'properties' in schema && 'type' in schema && schema.type === 'object'
    ? [[path, schema as TSchema], ...inner]
    : inner
}

describe('events', () => {
  const events = Object.entries({ OrderEvent, ProductEvent, StockEvent })
  it.each(events.flatMap(([name, schema]) => objectsIn(schema, name)))(
    '%s accepts fields of a newer release',
    (_, { additionalProperties }) => expect(additionalProperties).toBe(true),
  )
  it('differ in their type', () => {
    const types = [...OrderEvent.anyOf, ...StockEvent.anyOf, ...ProductEvent.anyOf].map(
      (schema) => schema.properties.type.const,
    )
    expect(new Set(types).size).toBe(types.length)
  })
})
