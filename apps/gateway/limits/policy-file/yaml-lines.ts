/** A YAML text as plain values that know their line, for messages like `policies.yaml:12: unknown field "brust"`. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'

export interface LineProblem {
  line: number
  reason: string
}

/** Exactly one of the three contents. */
export interface Located {
  line: number
  scalar?: unknown
  items?: Located[]
  fields?: ReadonlyMap<string, Located>
}

/**
 * Aliases are refused: a few lines of them expand to gigabytes. So are tags, duplicate keys and further documents.
 * `root` is absent when the text has a problem.
 */
export function readYaml(text: string): { root?: Located; problems: LineProblem[] } {
  const lines = new LineCounter()
  const problems: LineProblem[] = []
  const lineAt = (offset = 0) => Math.max(1, lines.linePos(offset).line)
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, strict: true, version: '1.2' })
  for (const { message, pos } of [...doc.errors, ...doc.warnings]) {
    problems.push({ line: lineAt(pos[0]), reason: message.split('\n', 1)[0] ?? message })
  }
  visit(doc, {
    Alias: (_key, { range, source }) => {
      problems.push({ line: lineAt(range?.[0]), reason: `the alias *${source} must be written out` })
    },
  })
  return problems.length > 0 ? { problems } : { root: located(doc.contents, 1), problems }

  function located(node: unknown, parentLine: number): Located {
    const range = (node as { range?: [number, number, number] | null } | null)?.range
    const line = range ? lineAt(range[0]) : parentLine
    if (isScalar(node)) return { line, scalar: node.value }
    if (isSeq(node)) return { line, items: node.items.map((item) => located(item, line)) }
    if (!isMap(node) || isAlias(node)) return { line, scalar: null }
    const fields = node.items.map(({ key, value }) => {
      const at = located(key, line)
      // The line of the key: a value may begin on the next one.
      return [String(at.scalar), { ...located(value, at.line), line: at.line }] as const
    })
    return { line, fields: new Map(fields) }
  }
}
