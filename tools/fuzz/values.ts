/** Values: what a schema allows, and what programs and people send by mistake or with intent. */
import type { Json } from '@shop/service-kit/http/openapi'
import * as fc from 'fast-check'

/** Text that has broken something somewhere. */
const infamous = [
  '',
  ' ',
  '\0',
  '%00',
  '%',
  '%zz',
  '%0d%0aset-cookie: a=1',
  '%ed%a0%80',
  '%c0%af',
  '..%2f..%2fetc%2fpasswd',
  '../../etc/passwd',
  "' OR 1=1 --",
  '$' + '{jndi:ldap://x}',
  '<script>alert(1)</script>',
  '\ud800',
  '\udc00x',
  '\u202e\u200b\ufeff',
  '\uffff',
  'caf\u0065\u0301',
  '\u043c\u044b\u043b\u043e',
  '\u624b\u5de5\u7682',
  '\u{1f600}'.repeat(40),
  'null',
  'NaN',
  'true',
  '[]',
  '{}',
  '__proto__',
  'constructor',
  'toString',
  '-1',
  '0',
  '1e309',
  '0x10',
  '2147483648',
  '9007199254740993',
  '9223372036854775808',
  '99999999999999999999999999',
  '"',
  '\\',
  '\t',
  '\r\n',
  ';,=',
  '*',
  'a'.repeat(300),
  '\u00e9'.repeat(5_000),
]

export const nastyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...infamous) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 60 }) },
  { weight: 1, arbitrary: fc.string({ maxLength: 2_000 }) },
)

const nastyJson: fc.Arbitrary<unknown> = fc.oneof(
  nastyText,
  fc.constantFrom(null, true, [], {}, 0, -1, 0.5, 1e21, 2 ** 31, 2 ** 53, Number.MAX_VALUE, [[[[]]]], { length: 1e9 }),
  fc.jsonValue({ maxDepth: 3 }),
)

/** A value that fits the schema. */
export function fitting(schema: Json): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  const union = schema.anyOf ?? schema.oneOf
  if (union) return fc.oneof(...union.map(fitting))
  switch (schema.type) {
    case 'object':
      return fittingObject(schema)
    case 'array':
      return fc.array(fitting(schema.items ?? {}), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 5, 20),
      })
    case 'integer':
    case 'number':
      return fc.integer({ min: schema.minimum ?? -1_000, max: Math.min(schema.maximum ?? 1_000_000, 2 ** 31 - 1) })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      return fittingText(schema)
  }
}

function fittingObject({ properties = {}, required = [] }: Json): fc.Arbitrary<unknown> {
  const model = Object.fromEntries(
    Object.entries(properties as Json).map(([name, property]) => [name, fitting(property)]),
  )
  return fc.record(model, { requiredKeys: required }).map((value) => ({ ...value }))
}

function fittingText({ format, pattern, minLength = 0, maxLength = 100 }: Json): fc.Arbitrary<string> {
  if (format === 'uuid') return fc.uuid()
  if (format === 'email') return fc.uuid().map((id) => `${id}@example.com`)
  if (format === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString())
  if (pattern && pattern !== '\\S')
    return fc.stringMatching(new RegExp(pattern)).map((text) => text.slice(0, maxLength))
  return fc.string({ unit: 'grapheme', minLength: Math.max(minLength, 1), maxLength: Math.min(maxLength, 200) })
}

/** A JSON text: what fits, with one thing wrong, or nothing that JSON is. */
export function bodyText(schema: Json): fc.Arbitrary<string> {
  const right = fitting(schema)
  const names = Object.keys(schema.properties ?? { '': {} })
  const key = fc.oneof(fc.constantFrom(...names), fc.constantFrom('__proto__', 'constructor', 'role', 'id'), nastyText)
  const oneWrong = fc.tuple(right, key, nastyJson).map(([value, name, wrong]) => withField(value, name, wrong))
  const cut = fc.tuple(right, fc.nat(100)).map(([value, at]) => JSON.stringify(value).slice(0, at))
  const json = (value: unknown) => JSON.stringify(value) ?? ''
  return fc.oneof(
    { weight: 5, arbitrary: right.map(json) },
    { weight: 5, arbitrary: oneWrong },
    { weight: 2, arbitrary: nastyJson.map(json) },
    { weight: 1, arbitrary: cut },
    { weight: 1, arbitrary: nastyText },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '',
        '{',
        '{"a":1,"a":2}',
        '\ufeff{}',
        '[1e999]',
        '{"a":"\\ud800"}',
        '{"a":"\\u0000"}',
        '['.repeat(100_000),
        `{"a":"${'x'.repeat(1_100_000)}"}`,
      ),
    },
  )
}

/** Written as text: in an object literal `__proto__` would be no field. */
function withField(value: unknown, name: string, wrong: unknown): string {
  const fields = Object.entries(Object(value)).filter(([other]) => other !== name)
  const all = [...fields, [name, wrong] as const].map(
    ([key, inner]) => `${JSON.stringify(key)}:${JSON.stringify(inner) ?? 'null'}`,
  )
  return `{${all.join(',')}}`
}
