import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { keyFamily } from '@shop/redis-kit/keys'
import { readKeyFamilies } from '@shop/service-kit/storage/key-families'
import { expect, test } from 'vitest'
import { root } from '../command-line/run.ts'
import { keysPage } from './page.ts'

const families = await readKeyFamilies()

test('docs/keys.md is as the declarations say', () => {
  const file = join(root, 'docs/keys.md')
  const page = existsSync(file) ? readFileSync(file, 'utf8') : ''
  expect(page === keysPage(families), 'docs/keys.md is out of date: `npm run generate` writes it').toBe(true)
})

test('the page changes when a family is added, and when any declared fact changes', () => {
  const [first] = families
  if (first === undefined) throw new Error('no family is declared')
  const changes = [
    { doc: 'another purpose' },
    { role: first.role === 'cache' ? ('state' as const) : ('cache' as const) },
    { ttl: { ms: 1 } },
    { ttl: { immortal: 'a reason' } },
    { hidden: 'a reason' },
    { type: 'list' as const },
    { service: 'another' },
  ]
  const pages = changes.map((change) => keysPage([{ ...first, ...change }]))
  expect(new Set([keysPage([first]), ...pages]).size).toBe(changes.length + 1)
})

test('each declared family is on the page, in lines of at most 140 characters', () => {
  const page = keysPage(families)
  for (const { pattern } of families) expect(page.split(`\`${pattern}\``).length).toBe(3)
  // Rows of tables cannot be broken: a topic with many readers has long ones.
  expect(page.split('\n').filter((line) => line.length > 140 && !line.startsWith('|'))).toEqual([])
})

test('an access that is granted to another service is on the page', () => {
  const family = keyFamily({
    ...{ service: 'order', pattern: 'order:x:<id>', type: 'string', role: 'state', ttl: { ms: 5_400_000 } },
    ...{ example: [1], doc: 'a key of this test', sharedWith: { user: 'read', catalog: 'write' } },
  })
  expect(keysPage([family])).toContain('| 90 minutes |          | catalog writes, user reads | values |')
})
