/** What the parser says about one file: its imports, its casts, the parameters of its functions. */
import { type Argument, parseSync, type TSType, Visitor } from 'oxc-parser'

export interface Syntax {
  /** Specifiers of static, dynamic, re-exporting and type imports. */
  imports: string[]
  /** Other strings that look like the path of a source: a program to start, a file to read. */
  paths: string[]
  /** Lines of `x as T`, without `as const`. */
  castLines: number[]
  /** Lines of functions with more than three parameters. */
  wideLines: number[]
}

const maxParameters = 3

/** Throws with the path when the text is not valid. */
export function syntaxOf(path: string, text: string): Syntax {
  const { program, module, errors } = parseSync(path, text)
  if (errors[0]) throw new Error(`${path}: ${errors[0].message}`)
  const imports = [
    ...module.staticImports.map(({ moduleRequest }) => moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) => entries.map(({ moduleRequest }) => moduleRequest?.value)),
  ].filter((specifier) => specifier !== undefined)
  const syntax: Syntax = { imports: [...new Set(imports)], paths: [], castLines: [], wideLines: [] }
  const keys = new Set<number>()
  const lineOf = (offset: number) => text.slice(0, offset).split('\n').length
  const checkWidth = ({ params, start }: { params: readonly unknown[]; start: number }) => {
    if (params.length > maxParameters) syntax.wideLines.push(lineOf(start))
  }
  new Visitor({
    FunctionDeclaration: checkWidth,
    FunctionExpression: checkWidth,
    ArrowFunctionExpression: checkWidth,
    TSImportType: ({ source }) => void syntax.imports.push(source.value),
    ImportExpression: ({ source }) => void syntax.imports.push(...textOf(source)),
    TSAsExpression: ({ typeAnnotation, start }) => {
      if (!isConst(typeAnnotation)) syntax.castLines.push(lineOf(start))
    },
    TSTypeAssertion: ({ typeAnnotation, start }) => {
      if (!isConst(typeAnnotation)) syntax.castLines.push(lineOf(start))
    },
    // The name of a property is no program to start.
    Property: ({ key }) => void keys.add(key.start),
    Literal: ({ value, start }) => {
      if (!keys.has(start) && typeof value === 'string' && /^[\w@./-]+\.(ts|mjs)$/.test(value)) syntax.paths.push(value)
    },
  }).visit(program)
  return syntax
}

function textOf(source: Argument): string[] {
  return source.type === 'Literal' && typeof source.value === 'string' ? [source.value] : []
}

function isConst(type: TSType): boolean {
  return type.type === 'TSTypeReference' && type.typeName.type === 'Identifier' && type.typeName.name === 'const'
}
