import { OrderEvent } from '@shop/contracts/events'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { createCheck, createValidatorCompiler } from './validation.ts'

const Shape = Type.Union([
  Type.Object({ kind: Type.Literal('circle'), radius: Type.Number({ minimum: 0 }) }),
  Type.Object({ kind: Type.Literal('square'), side: Type.Number({ minimum: 0 }) }),
])

describe('a check outside of routes', () => {
  test('answers with nothing when all is well', () => {
    expect(createCheck(Shape)({ kind: 'circle', radius: 1 })).toEqual([])
  })

  test('names the field and what is wrong with it', () => {
    expect(
      createCheck(Type.Object({ lines: Type.Array(Type.Object({ n: Type.Integer() })) }))({
        lines: [{ n: 1 }, { n: '2' }],
      }),
    ).toEqual([{ path: '/lines/1/n', code: 'type', message: 'must be integer' }])
  })

  test('takes nothing for something else', () => {
    const mistakesIn = createCheck(Type.Object({ n: Type.Integer() }))
    for (const value of [{ n: '1' }, { n: true }, { n: null }, { n: [1] }, [], null, undefined, 'x'])
      expect([value, mistakesIn(value).length]).toEqual([value, 1])
  })

  test('refuses unknown fields at every depth, unless they are allowed', () => {
    const orderWith = (options: { additionalProperties: boolean }) =>
      Type.Object(
        {
          lines: Type.Array(Type.Object({ sku: Type.String() }, options)),
          note: Type.Optional(Type.Object({ text: Type.String() }, options)),
        },
        options,
      )
    for (const value of [
      { lines: [], x: 1 },
      { lines: [{ sku: 'a', x: 1 }] },
      { lines: [], note: { text: '', x: 1 } },
    ]) {
      expect(createCheck(orderWith({ additionalProperties: false }))(value)).toMatchObject([{ code: 'unknown-field' }])
      expect(createCheck(orderWith({ additionalProperties: true }))(value)).toEqual([])
    }
  })

  test('leaves objects alone that say themselves that they are open, and parts of an intersection', () => {
    expect(createCheck(Type.Object({ a: Type.String() }, { additionalProperties: true }))({ a: '', b: '' })).toEqual([])
    expect(createCheck(Type.Record(Type.String(), Type.Integer()))({ any: 1 })).toEqual([])
    const Both = Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })])
    expect(createCheck(Both)({ a: '', b: '' })).toEqual([])
  })

  test('does not change the schema', () => {
    const before = JSON.stringify(OrderEvent)
    createCheck(OrderEvent)({})
    expect(JSON.stringify(OrderEvent)).toBe(before)
  })

  test('joins the branches of a union to a short answer', () => {
    const mistakes = createCheck(
      Type.Object({ sort: Type.Union([Type.Literal('a'), Type.Literal('b'), Type.Literal('c')]) }),
    )({ sort: 'd' })
    expect(mistakes).toEqual([{ path: '/sort', code: 'enum', message: 'must be one of a, b, c' }])
    expect(createCheck(Shape)({ kind: 'circle', radius: -1 }).length).toBeLessThanOrEqual(3)
  })

  test('names at most twenty fields', () => {
    const Wide = Type.Union(Array.from({ length: 100 }, (_, i) => Type.Object({ [`field${i}`]: Type.String() })))
    expect(createCheck(Wide)({}).length).toBe(20)
  })
})

test('a number in a query that is too large to be one is out of bounds, and not converted to Infinity', () => {
  const Query = Type.Object({ price: Type.Integer({ minimum: 0, maximum: 100 }) }, { additionalProperties: false })
  const request = { httpPart: 'querystring', schema: Query } as never
  const check = createValidatorCompiler()(request) as (value: unknown) => { error?: unknown }
  for (const price of ['1e309', '-1e309', 'Infinity', 'NaN', '101'])
    expect([price, check({ price }).error]).toEqual([price, expect.any(Array)])
  expect(check({ price: '100' })).toEqual({ value: { price: 100 } })
})
