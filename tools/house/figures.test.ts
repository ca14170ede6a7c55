/** Each figure counts what its name says, and nothing like it. */
import { expect, test } from 'vitest'
import type { Checkout } from './checkout.ts'
import type { Figures } from './figures.ts'
import { mechanismPlaces } from './mechanisms.ts'
import { blocksOf } from './pages.ts'
import { folderSizes } from './structure.ts'
import { syntaxOf } from './syntax.ts'
import { figuresTable } from './table.ts'

function checkoutOf(sources: Record<string, string>): Checkout {
  return { root: '', sources: new Map(Object.entries(sources)), pages: new Map(), manifests: new Map() }
}

test('casts are counted, constants and renamed imports are not', () => {
  const { castLines } = syntaxOf(
    'file.ts',
    `import { a as b } from './a.ts'
export { b as c }
const one = b as string
const two = ['x'] as const
const three = (one as unknown) as { text: string } // as a comment
const four = \`\${one as string}\`
const five = three satisfies object`,
  )
  expect(castLines).toEqual([3, 5, 5, 6])
})

test('functions with more than three parameters are counted, in every form that has a body', () => {
  const { wideLines } = syntaxOf(
    'file.ts',
    `function one(a: 1, b: 2, c: 3, d: 4) {}
const two = (a, b, c, d) => a
const three = { method(a, b, c, d) {} }
function four({ a, b, c, d }, e, f) {}
type Five = (a: 1, b: 2, c: 3, d: 4) => void
one(1, 2, 3, 4)`,
  )
  expect(wideLines).toEqual([1, 2, 3])
})

test('imports are found in every form, types included', () => {
  const { imports, paths } = syntaxOf(
    'file.ts',
    `import './a.ts'
import type { B } from './b.ts'
export * from './c.ts'
export type { D } from './d.ts'
const e = await import('./e.ts')
type F = import('./f.ts').F
const text = "import './no.ts'" // import './neither.ts'
fork(new URL('./g.ts', import.meta.url))
const list = { './h.ts': 1 }`,
  )
  expect(imports.toSorted()).toEqual(['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts', './f.ts'])
  expect(paths).toContain('./g.ts')
  expect(paths).not.toContain('./h.ts')
})

test('a mechanism is counted where production code writes it, and once for its home', () => {
  const pause = "import { setTimeout as sleep } from 'node:timers/promises'"
  const places = mechanismPlaces(
    checkoutOf({
      'apps/order/loop.ts': pause,
      'apps/order/loop.test.ts': pause,
      'tools/wait.ts': pause,
      'libs/redis-kit/flow/pause.ts': pause,
      'libs/redis-kit/flow/every.ts': pause,
    }),
  )
  expect(places.pause).toEqual(['libs/redis-kit/flow/pause.ts', 'apps/order/loop.ts'])
  expect(places.every).toEqual(['libs/redis-kit/flow/every.ts'])
})

test('folders are counted without tests, fixtures and the files of inner folders', () => {
  const checkout = checkoutOf({ 'a/one.ts': '', 'a/one.test.ts': '', 'a/two.fixture.ts': '', 'a/b/three.ts': '' })
  expect(folderSizes(checkout)).toEqual([
    { folder: 'a', count: 1 },
    { folder: 'a/b', count: 1 },
  ])
})

test('a block has its line and what it takes as given; other languages are no blocks', () => {
  const text = `<!-- given:
declare const redis: string
-->
\`\`\`ts
redis
\`\`\`

\`\`\`sh
ls
\`\`\`
`
  expect(blocksOf('page.md', text)).toEqual([
    {
      page: 'page.md',
      line: 4,
      code: 'redis',
      given: { line: 1, code: 'declare const redis: string' },
    },
  ])
})

test('the reason of an exception stands beside the folder, when the exceptions are of this checkout', () => {
  const figures: Figures = {
    largestFolder: { folder: 'tools', count: 16 },
    foldersOverLimit: [{ folder: 'tools', count: 16 }],
    redisKitEntryCount: 19,
    rings: [],
    unreached: [],
    wideFunctions: { apps: 2, libs: 3 },
    appCastCount: 1,
    blockCount: 20,
    compiledBlockCount: undefined,
    mechanisms: mechanismPlaces(checkoutOf({})),
    longLineCount: 0,
    breakableLineCount: 0,
  }
  const exceptions = { rings: {}, folders: { tools: 'One file per command.' }, unreached: {} }
  expect(figuresTable(figures, exceptions)).toContain('    16  tools  (One file per command.)\n')
  expect(figuresTable(figures)).toContain('    16  tools\n')
  expect(figuresTable(figures)).toMatch(/^functions of more than 3 parameters +5$/m)
  expect(figuresTable(figures)).toMatch(/^README code blocks that compile +not compiled: no node_modules$/m)
})
