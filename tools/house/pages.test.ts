/** The TypeScript in the pages compiles, and no line of them is longer than 140 characters. */
import { expect, test } from 'vitest'
import { root } from '../command-line/run.ts'
import { typeFaults } from './blocks.ts'
import { readCheckout } from './checkout.ts'
import { blocksOf, compiledElsewhere, longLines } from './pages.ts'

const { pages } = readCheckout(root)

/**
 * Line 4 passes an option that does not exist, and uses a name that is not given. Line 9 imports a type that does not exist. Line 18
 * is no TypeScript.
 */
const plantedPage = `# Planted
\`\`\`ts
import { createLock, lockKeys } from '@shop/redis-kit/lock'
createLock(redis, { keys: lockKeys('order', 'cleanup'), onRegressed() {} })
\`\`\`

<!-- given:
import type { Redis } from '@shop/redis-kit/connection'
import type { Absent } from '@shop/redis-kit/lock'
declare const redis: Redis
-->
\`\`\`ts
await redis.get('key')
\`\`\`

\`\`\`ts
const broken = (
\`\`\`
`

test('each block of TypeScript in a page compiles; planted blocks are reported by page and line', {
  timeout: 300_000,
}, async () => {
  const blocks = [...pages, ['libs/redis-kit/lock/PLANTED.md', plantedPage] as const].flatMap(([page, text]) =>
    page in compiledElsewhere ? [] : blocksOf(page, text),
  )
  expect(blocks.length).toBeGreaterThan(20)
  const faults = (await typeFaults(root, blocks)).map(({ page, line, message }) => `${page}:${line} ${message}`)
  const isPlanted = (fault: string) => fault.startsWith('libs/redis-kit/lock/PLANTED.md')
  expect(faults.filter((fault) => !isPlanted(fault))).toEqual([])
  expect(faults.filter(isPlanted)).toEqual([
    expect.stringMatching(/PLANTED\.md:4 TS2304: Cannot find name 'redis'/),
    expect.stringMatching(/PLANTED\.md:4 TS2353: .*'onRegressed' does not exist/),
    expect.stringMatching(/PLANTED\.md:9 TS2\d+: .*has no exported member .*Absent/),
    expect.stringMatching(/PLANTED\.md:18 Expected/),
  ])
})

test('no line of a page is longer than 140 characters, rows of tables and lines without a break excepted', () => {
  const long = [...pages].flatMap(([page, text]) =>
    longLines(text).map(({ line, length }) => `${page}:${line} has ${length} characters`),
  )
  expect(long).toEqual([])
})

test('a long line is reported with its number, a long row of a table and a long link are not', () => {
  const words = 'word '.repeat(30).trim()
  const link = `[link]: https://example.com/${'x'.repeat(150)}`
  expect(longLines(`short\n${words}\n| ${words} |\n${link.replace('[link]: ', '')}\n`)).toEqual([
    { line: 2, length: 149 },
  ])
})
