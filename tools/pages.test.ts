/** Links of the pages, the functions that their tables name, and the number of entries at the root. */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from './command-line/run.ts'

const maxRootEntryCount = 24

const pages = globSync(['**/*.md', '.github/*.md'], {
  cwd: root,
  exclude: (path) => /node_modules|reports|\.data/.test(path),
})
const readPage = (path: string) => readFileSync(join(root, path), 'utf8')

test('every link of a page leads to a file, and to a heading of it', () => {
  expect(pages.flatMap((path) => deadLinks(path, readPage(path)))).toEqual([])
})

test('a link to a missing file, to a missing heading or to a missing definition is reported', () => {
  const text = 'See [one](gone.md), [two](README.md#gone), [three](#here), [four][missing], [five].\n\n# Here\n'
  expect(deadLinks('page.md', text)).toEqual([
    'page.md: gone.md',
    'page.md: README.md#gone',
    'page.md: [four][missing]',
    'page.md: [five]',
  ])
})

test('each function in a table of functions and files is declared in the file beside it', () => {
  const rows = pages.flatMap((path) => functionRows(path, readPage(path)))
  expect(rows.length).toBeGreaterThan(30)
  expect(undeclared(rows)).toEqual([])
})

test('a function that its file does not declare, and a row without a function or a file, are reported', () => {
  const text = `| step | function | file |
|---|---|---|
| 1 | \`undeclared\` | [here](tools/pages.test.ts) |
| 2 | \`renamed\`, \`undeclared\` | [here](tools/pages.test.ts) |
| 3 | \`undeclared\` | [gone](tools/gone.ts) |
| 4 | undeclared | [here](tools/pages.test.ts) |
`
  expect(undeclared(functionRows('page.md', text))).toEqual([
    'page.md: tools/pages.test.ts declares no renamed',
    'page.md: tools/gone.ts declares no undeclared',
    'page.md: no function or no file in: | 4 | undeclared | [here](tools/pages.test.ts) |',
  ])
})

test('every example of a test run names a project and finds a file of it', () => {
  expect(pages.flatMap((path) => emptyTestRuns(readPage(path)))).toEqual([])
})

test('an example that finds no project, or no file of it, is reported', () => {
  const text =
    '`npx vitest run --project gone cart`, `npx vitest run --project order gone`, `npx vitest run --project order cart`'
  expect(emptyTestRuns(text)).toEqual(['gone cart', 'order gone'])
})

/** Each page with the folders whose production files it lists. */
const listings = { 'libs/service-kit/README.md': '*/*.ts', 'libs/redis-kit/connection/README.md': '**/*.ts' }

test.each(Object.entries(listings))('%s lists every file of its folders, and no other', (page, pattern) => {
  expect(wrongListing(readPage(page), sourcesOf(dirname(page), pattern))).toEqual([])
})

test('a file that a page does not list, and a listed one that is gone, are reported', () => {
  const text = '| `kept.ts` | a |\n| `gone.ts` | b |\n'
  expect(wrongListing(text, ['kept.ts', 'new.ts'])).toEqual(['not listed: new.ts', 'gone: gone.ts'])
})

const git = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })

test.skipIf(git.status !== 0)(`the root has ${maxRootEntryCount} entries at most`, () => {
  const entries = new Set(git.stdout.split('\0').map((path) => path.split('/')[0]))
  entries.delete('')
  expect(entries.size, [...entries].join(' ')).toBeLessThanOrEqual(maxRootEntryCount)
})

function withoutBlocks(text: string): string {
  return text.replace(/^(`{3,})[^\n]*\n[\s\S]*?^\1$/gm, '')
}

function definitionsIn(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^\[([^\]]+)\]:\s+(\S+)/gm)].map(([, name = '', target = '']) => [name, target]))
}

function deadLinks(path: string, text: string): string[] {
  // Code may look like a link.
  const plain = withoutBlocks(text).replace(/`[^`\n]*`/g, '')
  const definitions = definitionsIn(plain)
  // `[text][name]`, or `[name]` alone.
  const references = plain.matchAll(/(?<![\w\]!])\[([A-Za-z][^\]\n]*)\](?:\[([^\]\n]+)\]|(?![([:]))/g)
  const undefinedNames = [...references].filter(([, text = '', name = text]) => !definitions.has(name))
  const targets = [...[...plain.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target), ...definitions.values()]
  const dead = targets.filter((target) => !/^[a-z]+:/.test(target) && !isReached(path, text, target))
  return [...dead, ...undefinedNames.map(([link]) => link)].map((target) => `${path}: ${target}`)
}

function isReached(path: string, text: string, target: string): boolean {
  const [file = '', heading] = target.split('#')
  const found = file === '' ? path : join(dirname(path), file)
  if (file !== '' && !existsSync(join(root, found))) return false
  return heading === undefined || headingsOf(file === '' ? text : readPage(found)).includes(heading)
}

/** `npx vitest run --project PROJECT [PART OF A PATH]` without a file. The service that docs/add-a-service.md adds does not exist. */
function emptyTestRuns(text: string): string[] {
  return [...text.matchAll(/npx vitest run --project (?!rating\b)([\w-]+)(?: ([\w./]+))?/g)]
    .filter(([, project = '', part = '']) => !testFilesOf(project).some((path) => path.includes(part)))
    .map(([, project = '', part = '']) => `${project} ${part}`)
}

function testFilesOf(project: string): string[] {
  const exclude = (path: string) => path.includes('node_modules')
  return globSync(`{apps/,libs/,tools/,}${project}/**/*.test.ts`, { cwd: root, exclude })
}

function sourcesOf(folder: string, pattern: string): string[] {
  const paths = globSync(pattern, { cwd: join(root, folder), exclude: ['**/node_modules'] })
  return paths.filter((path) => !/\.(test|fixture)\.ts$/.test(path)).map((path) => basename(path))
}

function wrongListing(text: string, files: readonly string[]): string[] {
  const listed = [...text.matchAll(/^\| `([\w-]+\.ts)` \|/gm)].map(([, name = '']) => name)
  const missing = files.filter((name) => !listed.includes(name)).map((name) => `not listed: ${name}`)
  return [...missing, ...listed.filter((name) => !files.includes(name)).map((name) => `gone: ${name}`)]
}

/** As GitHub names them. */
function headingsOf(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

interface FunctionRow {
  page: string
  line: string
  names: string[]
  file?: string
}

/** The rows of every table whose head names a column `function` and a column `file`. */
function functionRows(page: string, text: string): FunctionRow[] {
  const definitions = definitionsIn(text)
  let columns: string[] = []
  return text.split('\n').flatMap((line) => {
    const cells = line.startsWith('|')
      ? line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim())
      : []
    const isTable = columns.includes('function') && columns.includes('file')
    if (cells.length === 0) columns = []
    else if (columns.length === 0) columns = cells
    else if (isTable && !cells[0]?.startsWith('--')) return [rowOf(cells)]
    return []

    function rowOf(values: string[]): FunctionRow {
      const link = values[columns.indexOf('file')] ?? ''
      const [, target] = /\]\(([^)]+)\)/.exec(link) ?? []
      const [, name = ''] = /\[([^\]]+)\](?:\[\])?$/.exec(link) ?? []
      const named = values[columns.indexOf('function')] ?? ''
      const file = target ?? definitions.get(name)
      return {
        page,
        line,
        names: [...named.matchAll(/`(\w+)`/g)].map(([, found = '']) => found),
        ...(file !== undefined && { file: join(dirname(page), file) }),
      }
    }
  })
}

function undeclared(rows: readonly FunctionRow[]): string[] {
  return rows.flatMap(({ page, line, names, file }) => {
    if (names.length === 0 || file === undefined) return [`${page}: no function or no file in: ${line}`]
    const source = existsSync(join(root, file)) ? readPage(file) : ''
    return names
      .filter((name) => !new RegExp(`\\b(?:function\\*?|const) ${name}\\b`).test(source))
      .map((name) => `${page}: ${file} declares no ${name}`)
  })
}

const usage = pages.filter((path) => path.startsWith('libs/')).flatMap((path) => usageRows(path, readPage(path)))

test('each capability on the page of a pattern is in the file that its mark names', () => {
  expect(usage.length).toBeGreaterThan(30)
  expect(usage.flatMap(wrongMark)).toEqual([])
})

test('no capability that is marked as planned or kit only is imported by an app or by service-kit', () => {
  const unused = usage.filter(({ mark }) => mark !== 'shown in').flatMap(({ names }) => names)
  expect(unused.filter((name) => importedNames.has(name))).toEqual([])
  expect(['createCache', 'createBalancer'].filter((name) => !importedNames.has(name))).toEqual([])
})

test('a mark that is not true is reported', () => {
  const text = `## Where it is used

| capability | state |
|---|---|
| \`test\` | shown in [here](tools/pages.test.ts) |
| \`absent\` | kit only: tested in [there](tools/test.ts) |
| \`test\` | planned |
| \`test\` | kit only: tested in [gone](tools/gone.test.ts) |
| \`test\` | kit only: tested in [here](tools/pages.test.ts) |

| \`never\` | of another table |
`
  expect(usageRows('page.md', text).flatMap(wrongMark)).toEqual([
    'page.md: test: shown in tools/pages.test.ts, which is not of an app or of service-kit',
    'page.md: absent: not in tools/test.ts',
    'page.md: test: no mark with a link',
    'page.md: test: not in tools/gone.test.ts',
  ])
})

/** Names that production code of the apps and of service-kit imports from redis-kit. */
const importedNames = new Set(
  globSync('{apps,libs/service-kit}/**/*.ts', {
    cwd: root,
    exclude: (path) => /node_modules|\.test\.|fixture/.test(path),
  })
    .flatMap((path) => [...readPage(path).matchAll(/import \{([^}]+)\} from '@shop\/redis-kit\//g)])
    .flatMap(([, names = '']) => names.split(',').map((name) => name.replace('type', '').trim())),
)

interface UsageRow {
  page: string
  names: string[]
  mark: string
  file: string
}

/** The table under "Where it is used": names of functions and options, `shown in`, `planned` or `kit only`, and a file. */
function usageRows(page: string, text: string): UsageRow[] {
  const [, section = ''] = text.split(/^## Where it is used\n+/m)
  const [table = ''] = section.split('\n\n')
  return table
    .split('\n')
    .slice(2)
    .map((row) => {
      const [, capability = '', state = ''] = row.split('|')
      const [, mark = '', link = ''] = /^ (shown in|planned|kit only)\b[^[]*\[[^\]]+\]\(([^)]+)\)/.exec(state) ?? []
      const names = [...capability.matchAll(/`(\w+)`/g)].map(([, name = '']) => name)
      return { page, names, mark, file: link && join(dirname(page), link) }
    })
}

function wrongMark({ page, names, mark, file }: UsageRow): string[] {
  return names.flatMap((name) => {
    if (mark === '') return [`${page}: ${name}: no mark with a link`]
    const isProduction = /^(apps|libs\/service-kit)\/.*(?<!\.test|\.fixture)\.ts$/.test(file)
    if (mark === 'shown in' && !isProduction)
      return [`${page}: ${name}: shown in ${file}, which is not of an app or of service-kit`]
    // A call, or an option by name.
    const isThere = existsSync(join(root, file)) && new RegExp(`\\b${name}\\b(<[^()]*>)?\\s*[(:,]`).test(readPage(file))
    return isThere ? [] : [`${page}: ${name}: not in ${file}`]
  })
}
