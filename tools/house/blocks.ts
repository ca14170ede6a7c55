/**
 * Type-checks the blocks of TypeScript in the pages. Each block becomes a file, in a folder of its own outside the checkout, at the
 * path of its page, and one `tsc` checks all. Every line of a block has the same number in its file as in its page.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseSync } from 'oxc-parser'
import type { Block } from './pages.ts'

export interface TypeFault {
  page: string
  line: number
  message: string
}

/** Packages, and the paths of the page's own folder, are found as from the page. Throws when tsc does not run. */
export async function typeFaults(root: string, all: readonly Block[]): Promise<TypeFault[]> {
  // Checked apart: one syntax error would keep tsc from checking types anywhere.
  const syntaxFaults = all.flatMap(syntaxFault)
  const blocks = all.filter((block) => syntaxFault(block).length === 0)
  const faults = [...syntaxFaults, ...(await compileBlocks(root, blocks))]
  return faults.toSorted((a, b) => a.page.localeCompare(b.page) || a.line - b.line)
}

function syntaxFault(block: Block): TypeFault[] {
  const text = fileOf(block)
  const [error] = parseSync('block.ts', text).errors
  if (!error) return []
  const line = text.slice(0, error.labels[0]?.start).split('\n').length
  return [{ page: block.page, line, message: error.message }]
}

async function compileBlocks(root: string, blocks: readonly Block[]): Promise<TypeFault[]> {
  const folder = mkdtempSync(join(tmpdir(), 'redis-shop-blocks-'))
  try {
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    const files = new Map(blocks.map((block) => [`${block.page}.${block.line}.ts`, block]))
    for (const [path, block] of files) {
      mkdirSync(join(folder, dirname(path)), { recursive: true })
      writeFileSync(join(folder, path), fileOf(block))
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(configOf(root, folder, [...files.keys()])))
    return faultsIn(await compile(root, folder), files)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function fileOf({ line, code, given }: Block): string {
  const lines: string[] = []
  const put = (from: number, text: string) => {
    for (const [index, content] of text.split('\n').entries()) lines[from + index] = content
  }
  if (given) put(given.line, given.code)
  put(line, code)
  return `${Array.from(lines, (content) => content ?? '').join('\n')}\n`
}

/** The options of the workspace, except what does not suit an excerpt: it may declare what it does not use. */
function configOf(root: string, folder: string, files: string[]) {
  return {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      rootDirs: [folder, root],
      typeRoots: [join(root, 'node_modules/@types')],
      moduleDetection: 'force',
      noUnusedLocals: false,
      noUnusedParameters: false,
    },
    include: [],
    files,
  }
}

function compile(root: string, folder: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const args = [join(root, 'node_modules/typescript/bin/tsc'), '--project', folder, '--pretty', 'false']
  execFile(process.execPath, args, { cwd: folder, maxBuffer: 64 * 2 ** 20 }, (error, stdout, stderr) => {
    if (error && !stdout.includes('error TS'))
      reject(new Error(`tsc did not run: ${stderr || stdout || error.message}`))
    else resolve(stdout)
  })
  return promise
}

/** A fault outside the blocks means that the check itself is wrong. */
function faultsIn(output: string, files: ReadonlyMap<string, Block>): TypeFault[] {
  return output
    .split('\n')
    .filter((line) => /error TS\d+/.test(line))
    .map((text) => {
      const [, path = '', line, message = ''] = /^(.+?)\((\d+),\d+\): error (.*)$/.exec(text) ?? []
      const block = files.get(path)
      if (!block) throw new Error(`tsc: ${text}`)
      return { page: block.page, line: Number(line), message }
    })
}
