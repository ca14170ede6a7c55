/** How well the repository can be read, in figures. Tests hold most of them; `npm run house` prints all, for any checkout. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { typeFaults } from './blocks.ts'
import { type Checkout, isTest, roomOf } from './checkout.ts'
import { importGraph, rings, unreached } from './graph.ts'
import { type Mechanism, mechanismPlaces } from './mechanisms.ts'
import { type Block, blocksOf, compiledElsewhere, longLines, maxLineLength } from './pages.ts'
import { entryPoints, folderSizes, maxFolderFiles } from './structure.ts'
import type { Syntax } from './syntax.ts'

export interface Figures {
  largestFolder: { folder: string; count: number }
  foldersOverLimit: { folder: string; count: number }[]
  redisKitEntryCount: number
  rings: { room: string; files: string[] }[]
  /** Production files that only tests use, or nothing. */
  unreached: string[]
  /** Production functions with more than three parameters, by room. */
  wideFunctions: Record<string, number>
  /** `x as T` in production files of the apps. */
  appCastCount: number
  blockCount: number
  /** Blocks of TypeScript that type-check; undefined when the checkout has no node_modules. */
  compiledBlockCount: number | undefined
  mechanisms: Record<Mechanism, string[]>
  /** Lines of Markdown over the limit, and those among them that can be broken. */
  longLineCount: number
  breakableLineCount: number
}

/** Takes a few seconds: everything is parsed, and one tsc runs over the blocks of the pages. */
export async function countHouse(checkout: Checkout): Promise<Figures> {
  const graph = importGraph(checkout)
  const { syntax, imports } = graph
  const sizes = folderSizes(checkout)
  const production = [...syntax].filter(([path]) => !isTest(path))
  const pages = [...checkout.pages]
  const blocks = pages.flatMap(([path, text]) => blocksOf(path, text))
  return {
    largestFolder: sizes[0] ?? { folder: '', count: 0 },
    foldersOverLimit: sizes.filter(({ count }) => count > maxFolderFiles),
    redisKitEntryCount: readdirSync(join(checkout.root, 'libs/redis-kit')).filter(
      (name) => name !== 'node_modules' && !isTest(name),
    ).length,
    rings: rings(imports).map((files) => ({ room: roomOf(files[0] ?? ''), files })),
    unreached: unreached(graph, entryPoints(checkout)).filter((path) => !path.startsWith('libs/test-kit/')),
    wideFunctions: byRoom(production, ({ wideLines }) => wideLines.length),
    appCastCount: total(production, (path, { castLines }) => (path.startsWith('apps/') ? castLines.length : 0)),
    blockCount: blocks.length,
    compiledBlockCount: await countCompiled(checkout.root, blocks),
    mechanisms: mechanismPlaces(checkout),
    longLineCount: pages.flatMap(([, text]) => text.split('\n')).filter((line) => line.length > maxLineLength).length,
    breakableLineCount: pages.flatMap(([, text]) => longLines(text)).length,
  }
}

function byRoom(files: [string, Syntax][], count: (syntax: Syntax) => number): Record<string, number> {
  const rooms = Map.groupBy(files, ([path]) => roomOf(path))
  const counts = [...rooms].map(([room, own]) => [room, total(own, (_, syntax) => count(syntax))] as const)
  return Object.fromEntries(counts.filter(([, sum]) => sum > 0).toSorted(([a], [b]) => a.localeCompare(b)))
}

function total(files: [string, Syntax][], count: (path: string, syntax: Syntax) => number): number {
  return files.reduce((sum, [path, syntax]) => sum + count(path, syntax), 0)
}

async function countCompiled(root: string, blocks: Block[]): Promise<number | undefined> {
  if (!existsSync(join(root, 'node_modules/typescript'))) return undefined
  const faults = await typeFaults(
    root,
    blocks.filter(({ page }) => !(page in compiledElsewhere)),
  )
  return blocks.filter(({ page, code, line }) => {
    const lastLine = line + code.split('\n').length
    return !faults.some((fault) => fault.page === page && fault.line > line && fault.line <= lastLine)
  }).length
}
