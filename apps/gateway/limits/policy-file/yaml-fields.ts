/** Reads located YAML into typed values. Each method reports what does not fit, with its line, and returns undefined then. */
import { quoted } from '../policy-rules.ts'
import type { Located } from './yaml-lines.ts'

export type NodeReader = ReturnType<typeof createNodeReader>

/** A value, or what it must be. */
export type Parsed<Value> = { value: Value } | { expected: string }

export function createNodeReader(report: (line: number, reason: string) => void) {
  const lines = new WeakMap<object, number>()
  return { report, fields, list, oneOf, text, number, with: read, located, lineOf: (made: object) => lines.get(made) }

  /** Unknown fields and missing ones are reported; the others are there to be read all the same. */
  function fields<Required extends string, Optional extends string = never>(
    node: Located,
    what: string,
    required: readonly Required[],
    optional: readonly Optional[] = [],
  ): Partial<Record<Required | Optional, Located>> | undefined {
    if (node.fields === undefined) return fail(node, `${what} must have fields: ${required.join(', ')}`)
    const known: readonly string[] = [...required, ...optional]
    for (const [name, { line }] of node.fields) {
      if (!known.includes(name))
        report(line, `unknown field ${quoted(name)} in ${what}: it may have ${known.join(', ')}`)
    }
    for (const name of required) {
      if (!node.fields.has(name)) report(node.line, `${what} lacks the field ${name}`)
    }
    return Object.fromEntries(known.map((name) => [name, node.fields?.get(name)])) as Partial<
      Record<Required | Optional, Located>
    >
  }

  /** Undefined when one item could not be read. An absent node was reported with the fields. */
  function list<Item>(node: Located | undefined, what: string, readItem: (item: Located) => Item | undefined) {
    if (node === undefined) return undefined
    if (node.items === undefined || node.items.length === 0)
      return fail(node, `${what} must be a list that is not empty`)
    const items = node.items.map(readItem)
    return items.every((item) => item !== undefined) ? items : undefined
  }

  function oneOf<Word extends string>(node: Located | undefined, what: string, words: readonly Word[]) {
    return read(node, what, (scalar): Parsed<Word> => {
      const value = words.find((word) => word === scalar)
      return value === undefined ? { expected: `one of ${words.join(', ')}` } : { value }
    })
  }

  function text(node: Located | undefined, what: string) {
    return read(node, what, (scalar) => (typeof scalar === 'string' ? { value: scalar } : { expected: 'text' }))
  }

  function number(node: Located | undefined, what: string) {
    return read(node, what, (scalar) => (typeof scalar === 'number' ? { value: scalar } : { expected: 'a number' }))
  }

  function read<Value>(node: Located | undefined, what: string, parse: (scalar: unknown) => Parsed<Value>) {
    if (node === undefined) return undefined
    const isScalar = node.items === undefined && node.fields === undefined
    const parsed = parse(isScalar ? node.scalar : undefined)
    if ('value' in parsed) return parsed.value
    const found = isScalar ? quoted(node.scalar) : node.items ? 'a list' : 'fields'
    return fail(node, `${what} must be ${parsed.expected}, not ${found}`)
  }

  function located<Made extends object>(made: Made, { line }: Located): Made {
    lines.set(made, line)
    return made
  }

  function fail({ line }: Located, reason: string): undefined {
    report(line, reason)
  }
}
