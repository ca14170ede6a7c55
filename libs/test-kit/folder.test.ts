import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeFolder } from './folder.ts'

function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'shop-folder-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

test('a folder is made with its parents and the mode, and may be made again', () => {
  const folder = join(temporaryFolder(), 'a/b/c')
  for (let count = 0; count < 2; count++) makeFolder(folder, 0o700)
  expect([folder, join(folder, '..')].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700])
})

test.skipIf(process.platform !== 'linux')('a folder below /proc is refused', () => {
  expect(() => makeFolder('/proc/none/below')).toThrow('ENOENT')
  expect(() => makeFolder('/proc/none')).toThrow('ENOENT')
})

test.each([
  ['a file', 'file', 'EEXIST'],
  ['a path below a file', 'file/below/it', 'ENOTDIR'],
  ['a link to nothing', 'link', 'EEXIST'],
])('%s is refused', (_name, path, code) => {
  const dir = temporaryFolder()
  writeFileSync(join(dir, 'file'), '')
  symlinkSync(join(dir, 'nowhere'), join(dir, 'link'))
  expect(() => makeFolder(join(dir, path))).toThrow(code)
})

test('a link to a folder is one', () => {
  const dir = temporaryFolder()
  mkdirSync(join(dir, 'folder'))
  symlinkSync(join(dir, 'folder'), join(dir, 'link'))
  makeFolder(join(dir, 'link/below'))
  expect(statSync(join(dir, 'folder/below')).isDirectory()).toBe(true)
})
