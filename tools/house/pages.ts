/** What is inside a Markdown page: blocks of TypeScript, and lines that are too long. */

export const maxLineLength = 140

/** Pages whose blocks are compiled elsewhere, with the place. */
export const compiledElsewhere: Readonly<Record<string, string>> = {
  'docs/add-a-service.md':
    'tools/guide.test.ts writes its blocks into a copy of the repository and checks the types there',
}

export interface Block {
  page: string
  /** Of the opening fence, from 1. */
  line: number
  code: string
  /** What the block takes as given, from an HTML comment `<!-- given: … -->` that ends in the line above the fence. */
  given: { line: number; code: string } | undefined
}

/** Blocks marked `ts`, in the order of the page. */
export function blocksOf(page: string, text: string): Block[] {
  const lines = text.split('\n')
  const blocks: Block[] = []
  for (let index = 0; index < lines.length; index += 1) {
    const [, indent = '', fence, language] = /^(\s*)(`{3,})(\w*)/.exec(lines[index] ?? '') ?? []
    if (fence === undefined) continue
    const length = lines.slice(index + 1).findIndex((line) => line.trim() === fence)
    const code = lines.slice(index + 1, index + 1 + length).map((line) => line.slice(indent.length))
    if (language === 'ts' || language === 'typescript') {
      blocks.push({ page, line: index + 1, code: code.join('\n'), given: givenAbove(lines, index) })
    }
    index += 1 + length
  }
  return blocks
}

function givenAbove(lines: readonly string[], fence: number): Block['given'] {
  if (lines[fence - 1]?.trim() !== '-->') return undefined
  const start = lines.slice(0, fence).findLastIndex((line) => line.trim() === '<!-- given:')
  return start < 0 ? undefined : { line: start + 1, code: lines.slice(start + 1, fence - 1).join('\n') }
}

/**
 * Lines of more than 140 characters. Exempt are rows of tables, which cannot be broken, and lines with no space to break at before
 * the limit, as a long link.
 */
export function longLines(text: string): { line: number; length: number }[] {
  return text
    .split('\n')
    .map((content, index) => ({ content, line: index + 1, length: [...content].length }))
    .filter(({ content, length }) => length > maxLineLength && !content.startsWith('|') && isBreakable(content))
    .map(({ line, length }) => ({ line, length }))
}

function isBreakable(content: string): boolean {
  return content.trim().slice(0, maxLineLength).includes(' ')
}
