/**
 * The guide as a program: each of its blocks goes into the file that the line above it names. A block of `ts` or `lua` is the file; in
 * one of `diff`, the other lines say where to put those with `+`, and those with `-` are replaced by them.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const block = /^(?:`([^`\n]+)`\n\n)?```(\w+)\n(.*?)^```$/gms

/** Applies the guide to the folder, a copy of the repository. Throws for a block that does not fit. */
export function applyGuide(folder: string, guide: string): void {
  for (const [, file, language, text = ''] of guide.matchAll(block)) {
    if (language === 'sh') runCopies(folder, text)
    else if (file === undefined) throw new Error(`the guide does not name the file of:\n${text}`)
    else if (language === 'diff') writeFileSync(join(folder, file), edited(folder, file, text))
    else {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    }
  }
}

/** Of the commands only those that make files: the others need the network, or a terminal. */
function runCopies(folder: string, text: string): void {
  for (const line of text.split('\n').filter((one) => /^(?:mkdir|sed) /.test(one))) {
    execFileSync('sh', ['-ec', line], { cwd: folder })
  }
}

function edited(folder: string, file: string, diff: string): string {
  const text = readFileSync(join(folder, file), 'utf8')
  const lines = diff.trimEnd().split('\n')
  const marked = (marks: string) => lines.filter((line) => marks.includes(line[0] ?? ' ')).map((line) => line.slice(1))
  const before = marked('- ').join('\n')
  if (text.split(before).length !== 2)
    throw new Error(`${file} has not one place like this, as the guide says:\n${before}`)
  return text.replace(before, () => marked('+ ').join('\n'))
}
