import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { lookFileName, writeLookFile } from './look.ts'

test('only its owner may read the file, even when a leftover of an earlier start was open to all', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'look-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true }))
  writeFileSync(join(dataDir, `${lookFileName}.new`), 'half', { mode: 0o644 })
  writeLookFile(dataDir, { SHOP: 'http://127.0.0.1:3000' })
  expect(readdirSync(dataDir)).toEqual([lookFileName])
  expect(statSync(join(dataDir, lookFileName)).mode & 0o777).toBe(0o600)
  expect(readFileSync(join(dataDir, lookFileName), 'utf8')).toBe("SHOP='http://127.0.0.1:3000'\n")
})
