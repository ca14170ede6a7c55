/** The figures of a checkout, as people read them. */
import type { Figures } from './figures.ts'
import { maxLineLength } from './pages.ts'
import { type Exceptions, maxFolderFiles } from './structure.ts'

const noExceptions: Exceptions = { rings: {}, folders: {}, unreached: {} }

type Row = [name: string, figure: string | number, details?: string[]]

/**
 * Two columns, what and how many, with the details of a figure in the lines below it.
 * @param exceptions whose reasons are shown beside what they let pass; those of another checkout are not known
 */
export function figuresTable(figures: Figures, exceptions: Exceptions = noExceptions): string {
  const rows = [...structureRows(figures, exceptions), ...codeRows(figures), ...pageRows(figures)]
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows
    .flatMap(([name, figure, details = []]) => [
      `${name.padEnd(width)}  ${figure}`,
      ...details.map((line) => `    ${line}`),
    ])
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

function structureRows(figures: Figures, exceptions: Exceptions): Row[] {
  const { largestFolder, foldersOverLimit, redisKitEntryCount, rings, unreached } = figures
  return [
    ['largest folder, production files', largestFolder.count, [largestFolder.folder]],
    [
      `folders of more than ${maxFolderFiles}`,
      foldersOverLimit.length,
      foldersOverLimit.map(({ folder, count }) => `${count}  ${folder}${reason(exceptions.folders[folder])}`),
    ],
    ["entries at redis-kit's root, without tests", redisKitEntryCount],
    [
      'import cycles, types included',
      rings.length,
      rings.map(
        ({ room, files }) => `${files.length} files  ${room}${reason(...files.map((file) => exceptions.rings[file]))}`,
      ),
    ],
    [
      'production files that only tests use',
      unreached.length,
      unreached.map((path) => `${path}${reason(exceptions.unreached[path])}`),
    ],
  ]
}

function codeRows(figures: Figures): Row[] {
  return [
    ['functions of more than 3 parameters', sum(figures.wideFunctions), counts(figures.wideFunctions)],
    ['casts in the apps', figures.appCastCount],
    ['places of a mechanism, all together', sum(placeCounts(figures)), counts(placeCounts(figures))],
  ]
}

function pageRows({ blockCount, compiledBlockCount, longLineCount, breakableLineCount }: Figures): Row[] {
  return [
    ['README code blocks', blockCount],
    ['README code blocks that compile', compiledBlockCount ?? 'not compiled: no node_modules'],
    [`lines of Markdown over ${maxLineLength} characters`, longLineCount],
    ['the same, without rows of tables', breakableLineCount],
  ]
}

function reason(...texts: (string | undefined)[]): string {
  const [text] = texts.filter((one) => one !== undefined)
  return text === undefined ? '' : `  (${text})`
}

function placeCounts({ mechanisms }: Figures): Record<string, number> {
  return Object.fromEntries(Object.entries(mechanisms).map(([name, places]) => [name, places.length]))
}

function sum(figures: Record<string, number>): number {
  return Object.values(figures).reduce((total, figure) => total + figure, 0)
}

function counts(figures: Record<string, number>): string[] {
  return Object.entries(figures).map(([name, count]) => `${String(count).padStart(2)}  ${name}`)
}
