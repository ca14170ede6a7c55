import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { reasonIn } from './failed-start.ts'

test.each([
  ['a syntax error', 'export const x = 1\n\nconst = 5\n', /app\.ts:3\n[\s\S]*SyntaxError.*: Unexpected token/],
  [
    'TypeScript that Node cannot strip',
    'export const x = 1\nenum A { b }\n',
    /app\.ts:2\n[\s\S]*enum is not supported/,
  ],
  ['a missing export', 'export const y = 1\n', /main\.ts:1\n[\s\S]*does not provide an export named 'x'/],
  ['a thrown error', 'export const x = 1\nthrow new Error("no database")\n', /app\.ts:2\n[\s\S]*Error: no database/],
])('the reason of %s has file, line and sentence', (_name, source, expected) => {
  const folder = mkdtempSync(join(tmpdir(), 'shop-start-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(join(folder, 'main.ts'), 'import { x } from "./app.ts"\nconsole.log(x)\n')
  writeFileSync(join(folder, 'app.ts'), source)
  // Task runners ask for colours; Node then dims the frames of its stacks.
  const env = { ...process.env, FORCE_COLOR: '1' }
  const { stderr } = spawnSync(process.execPath, [join(folder, 'main.ts')], { encoding: 'utf8', env })
  const reason = reasonIn(`{"level":"info","msg":"started"}\n${stderr}`)
  expect(reason).toMatch(expected)
  expect(reason).not.toMatch(/node:internal|^\s+at |Node\.js v|level/m)
})
