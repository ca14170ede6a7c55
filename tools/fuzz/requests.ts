/** Requests: those of the description, with something wrong in any of their parts, and some that are no HTTP. */
import * as fc from 'fast-check'
import type { Operation, Parameter } from './operations.ts'
import { bodyText, fitting, nastyText } from './values.ts'
import { headerNames, nonsense, plausibleValues } from './vocabulary.ts'

export type Role = 'guest' | 'customer' | 'admin'

export interface FuzzRequest {
  /** Undefined for what is sent as it is. */
  operation?: Operation
  role: Role
  method: string
  /** Path and query, as on the wire. */
  target: string
  headers: [name: string, value: string][]
  body?: Buffer
  /** The whole request, when it is not one of the description. */
  raw?: Buffer
  /** It says something wrong about its own framing, so that the server may wait for more, or close. */
  isMalformed: boolean
}

/** Values that exist in the shop, by the parameter's name. */
export type Known = Readonly<Record<string, readonly string[]>>

export function requestsOf(operations: readonly Operation[], known: Known): fc.Arbitrary<FuzzRequest> {
  const ordinary = fc.oneof(...operations.map((operation) => requestOf(operation, known)))
  return fc.oneof({ weight: 30, arbitrary: ordinary }, { weight: 1, arbitrary: noRequest })
}

function requestOf(operation: Operation, known: Known): fc.Arbitrary<FuzzRequest> {
  const parts = {
    role: fc.constantFrom<Role>('guest', 'customer', 'admin'),
    method: mostly(
      operation.method,
      fc.constantFrom('HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'PROPFIND', 'QUERY'),
    ),
    path: pathOf(operation, known),
    query: queryOf(operation, known),
    headers: headersOf(operation, known),
    body: bodyOf(operation),
  }
  return fc.record(parts).map(({ role, method, path, query, headers, body }) => {
    const all = [...headers, ...(body ? [['content-type', body.type] as [string, string]] : [])]
    const target = `${path}${query}`
    return { operation, role, method, target, headers: all, body: body?.bytes, isMalformed: isMalformed(target, all) }
  })
}

function mostly<Value>(usual: Value, other: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other })
}

function textOf({ name, schema }: Parameter, known: Known): fc.Arbitrary<string> {
  const existing = known[name] ?? []
  return fc.oneof(
    ...(existing.length > 0 ? [{ weight: 5, arbitrary: fc.constantFrom(...existing) }] : []),
    { weight: 3, arbitrary: fitting(schema).map(String) },
    { weight: 3, arbitrary: nastyText },
  )
}

/** Escaped as URLs are, mostly. */
function escaped(value: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(value, fc.nat(9)).map(([text, n]) => (n > 0 ? encodeURIComponent(text.toWellFormed()) : onWire(text)))
}

/** Without what would end the request line. */
function onWire(text: string): string {
  return text.replaceAll(/[\s\0]/g, '+')
}

function pathOf({ path, parameters }: Operation, known: Known): fc.Arbitrary<string> {
  const inPath = parameters.filter((parameter) => parameter.in === 'path')
  const values = fc.tuple(...inPath.map((parameter) => escaped(textOf(parameter, known))))
  const filled = values.map((texts) =>
    inPath.reduce((result, { name }, index) => result.replace(`{${name}}`, () => texts[index] as string), path),
  )
  const strange = fc
    .tuple(filled, fc.constantFrom('/', '//', '/..', '/./', ';a=b', '%2f', '%', '#x', '\u00e9', '/quote'))
    .map(([text, end]) => text + end)
  return fc.oneof({ weight: 15, arbitrary: filled }, { weight: 1, arbitrary: strange })
}

function queryOf({ parameters }: Operation, known: Known): fc.Arbitrary<string> {
  const inQuery = parameters.filter((parameter) => parameter.in === 'query')
  const pairs = inQuery.map((parameter) =>
    escaped(textOf(parameter, known)).map((value) => `${parameter.name}=${value}`),
  )
  const stray = fc.tuple(escaped(nastyText), escaped(nastyText)).map(([name, value]) => `${name}=${value}`)
  const some = fc.array(fc.oneof(...pairs, ...pairs, stray), { maxLength: 4 })
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant('') },
    { weight: 3, arbitrary: some.map((list) => `?${list.join('&')}`) },
  )
}

function headersOf({ parameters }: Operation, known: Known): fc.Arbitrary<[string, string][]> {
  const declared = parameters.filter((parameter) => parameter.in === 'header')
  const own = fc.tuple(
    ...declared.map((parameter) =>
      fc
        .oneof(
          { weight: 4, arbitrary: fitting(parameter.schema).map(String) },
          { weight: 1, arbitrary: textOf(parameter, known) },
        )
        .map((value) => [parameter.name, value] as [string, string]),
    ),
  )
  const stray = fc
    .constantFrom(...headerNames)
    .chain((name) =>
      fc
        .oneof(fc.constantFrom(...(plausibleValues[name] ?? ['x'])), nastyText)
        .map((value) => [name, value] as [string, string]),
    )
  const strays = fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(stray, { maxLength: 3 }) },
  )
  return fc.tuple(own, strays).map(([first, rest]) => [...first, ...rest])
}

function bodyOf({ bodies }: Operation): fc.Arbitrary<{ type: string; bytes: Buffer } | undefined> {
  const nothing = fc.constant(undefined)
  const strayType = fc.constantFrom(
    'application/json',
    'text/plain',
    'application/xml',
    'application/json; charset=latin1',
    'multipart/form-data',
    'x',
    '',
    '\u00e9',
  )
  const stray = fc.tuple(strayType, nastyText).map(([type, text]) => ({ type, bytes: Buffer.from(text) }))
  const notUtf8 = fc
    .uint8Array({ maxLength: 50 })
    .map((bytes) => ({ type: 'application/json', bytes: Buffer.from(bytes) }))
  if (bodies.length === 0) return fc.oneof({ weight: 9, arbitrary: nothing }, { weight: 1, arbitrary: stray })
  const described = bodies.map(([type, schema]) => bodyText(schema).map((text) => ({ type, bytes: Buffer.from(text) })))
  return fc.oneof(
    { weight: 16, arbitrary: fc.oneof(...described) },
    { weight: 1, arbitrary: nothing },
    { weight: 1, arbitrary: stray },
    { weight: 1, arbitrary: notUtf8 },
  )
}

const framing = new Set(['content-length', 'transfer-encoding', 'host', 'connection', 'upgrade', 'expect', 'te'])

function isMalformed(target: string, headers: readonly [string, string][]): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
  const control = /[\0-\x08\x0a-\x1f\x7f]/
  return (
    control.test(target) ||
    headers.some(([name, value]) => framing.has(name) || control.test(value) || control.test(name))
  )
}

const noRequest: fc.Arbitrary<FuzzRequest> = fc
  .oneof(
    fc.constantFrom(...nonsense).map((text) => Buffer.from(text)),
    fc.uint8Array({ minLength: 1, maxLength: 200 }).map(Buffer.from),
  )
  .map((raw) => ({ role: 'guest', method: 'RAW', target: '', headers: [], raw, isMalformed: true }))
