/** A result as a run would have given it. */

import { type Contender, closedLoopColumns, type Table } from '../suite.ts'
import { FORMAT, type Result, summarise } from './result.ts'

const contender = (id: string, role: Contender<never>['role']): Contender<never> => ({
  id,
  label: `${id} <&> "${id}"`,
  role,
  start: () => Promise.reject(new Error('nobody is started')),
})

const table: Table<never> = {
  id: 'reads',
  title: 'Reads',
  note: 'Of something.',
  columns: closedLoopColumns,
  ratios: [{ metric: 'perSecond', to: 'bare', label: 'x bare' }],
  contenders: [contender('ours', 'ours'), contender('bare', 'limit'), contender('other', 'peer')],
  goals: [{ text: 'at least half of bare', metric: 'perSecond', contender: 'ours', than: ['bare'], atLeast: 0.5 }],
}

const rounds = (...perSecond: number[]) =>
  perSecond.map((value) => ({ perSecond: value, cpuUs: 1e6 / value, p50Us: 500, p99Us: 12_000 }))

export function makeResult(changes: Partial<Result> = {}): Result {
  const samples = {
    ours: rounds(75_000, 60_000, 70_000),
    bare: rounds(100_000, 80_000, 100_000),
    other: rounds(900, 950, 990),
  }
  return {
    format: FORMAT,
    runId: 'aaaa1111',
    suite: 'cache',
    title: 'Reads of something',
    startedAt: '2026-11-23T10:00:00.000Z',
    finishedAt: '2026-11-23T10:01:00.000Z',
    isQuick: false,
    roundCount: 3,
    durationMs: 500,
    machine: { cpu: 'A processor', coreCount: 2, memoryGiB: 8, platform: 'linux x64' },
    load: { before: [1, 2, 3], after: [4, 5, 6] },
    versions: { node: '26.10.0', redis: '7.0.15', ioredis: '6.0.0' },
    tables: [summarise(table, samples)],
    ...changes,
  }
}
