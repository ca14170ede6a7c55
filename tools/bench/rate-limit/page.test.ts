/** The bytes in the page of the limits are those of the last run. CPU times differ from run to run: the page rounds them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readResult } from '../harness/report/result.ts'

const root = join(import.meta.dirname, '../../..')

test('the page of the rate limits has the bytes of the last run', () => {
  const page = readFileSync(join(root, 'libs/redis-kit/rate-limit/README.md'), 'utf8')
  const { tables } = readResult(join(root, 'docs/bench/rate-limit.json'))
  const rows = tables
    .find(({ id }) => id === 'memory')
    ?.rows.filter(({ id, role }) => role === 'ours' || id === 'textbook')
  expect(rows).toHaveLength(6)
  for (const { id, role, medians } of rows ?? []) {
    const name = role === 'ours' ? `\`${id}\`` : 'textbook token bucket, a control'
    const cells = page.split('\n').find((line) => line.startsWith(`| ${name} | `) && / B \|/.test(line))
    const bytes = cells?.split(' | ').slice(1, 5).map(bytesOf)
    for (const [at, count] of [1, 10, 100, 1_000].entries()) {
      // The levels of a skip list are random: its size differs by a part in a thousand.
      expect(Math.abs((bytes?.[at] ?? 0) / (medians[`bytes${count}`] as number) - 1), `${id}, ${count}`).toBeLessThan(
        0.01,
      )
    }
  }
})

function bytesOf(cell: string): number {
  const [, figure, unit] = /^(\d+) (B|kB)$/.exec(cell) ?? []
  return Number(figure) * (unit === 'kB' ? 1_000 : 1)
}
