/** The command as it is called, in its shortest form. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, it } from 'vitest'
import { readResult } from './harness/report/result.ts'

const folder = mkdtempSync(join(tmpdir(), 'redis-shop-bench-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function bench(...args: string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'bench.ts'), ...args])
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: child.exitCode, out, err }
}

describe('npm run bench', () => {
  it('measures in processes of their own and says what came out', { timeout: 120_000 }, async () => {
    const file = join(folder, 'one.json')
    const args = ['--table', 'stampede', '--only', 'ours,naive', '--rounds', '1', '--quick', '--json', file]
    const { code, out, err } = await bench('cache', ...args)
    expect(err).toContain('round 1 of 1')
    expect(code).toBe(0)
    expect(out).toContain('redis-kit/cache')
    const { tables, versions, isQuick } = readResult(file)
    expect(isQuick).toBe(true)
    expect(versions.node).toBe(process.versions.node)
    const rows = tables[0]?.rows ?? []
    expect(rows.map(({ id, medians }) => [id, medians.errors])).toEqual([
      ['ours', 0],
      ['naive', 0],
    ])
    const [ours, naive] = rows.map(({ medians }) => medians.loads as number)
    expect(ours).toBeLessThan(naive as number)
  })

  it('weighs what a limit keeps, and shows whose clock it trusts', { timeout: 120_000 }, async () => {
    const file = join(folder, 'limits.json')
    const measured = async (table: string) => {
      const args = ['--table', table, '--only', 'gcra,textbook', '--rounds', '1', '--quick', '--json', file]
      const { code, err } = await bench('rate-limit', ...args)
      expect(err).toContain('round 1 of 1')
      expect(code).toBe(0)
      return readResult(file).tables[0]?.rows.map(({ medians }) => medians) ?? []
    }
    const [gcra, textbook] = await measured('memory')
    expect(gcra?.bytes1000).toBeGreaterThan(50)
    expect(gcra?.bytes1000).toBeLessThan(textbook?.bytes1000 as number)
    const [right, wrong] = await measured('clock')
    expect(right?.afterwards).toBeGreaterThanOrEqual(10)
    expect(wrong?.afterwards).toBe(0)
    expect(wrong?.extra).toBeGreaterThanOrEqual(10)
  })

  it.each([
    [['no-such-suite'], 'unknown suite "no-such-suite"'],
    [['cache', '--rounds', '0'], '--rounds must be a whole number'],
    [['rate-limit', '--table', 'nope'], 'unknown table "nope" of rate-limit: use one of decision, '],
    [['rate-limit', '--only', 'gcra,nope'], 'unknown contender "nope" of rate-limit: use one of gcra, '],
    [['compare', 'only-one.json'], 'compare needs two files'],
    [['--unknown'], "Unknown option '--unknown'"],
  ])('%j is a mistake, and it says which', async (args, message) => {
    const { code, err } = await bench(...args)
    expect(err).toContain(message)
    expect(code).toBe(2)
  })
})
