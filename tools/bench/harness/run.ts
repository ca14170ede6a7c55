/** Measures a suite: everybody in a process of their own, in interleaved rounds, the first ones thrown away. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type ContenderProcess, startContender } from './contender.ts'
import { describeMachine, loadNow, versionsOf } from './machine.ts'
import { FORMAT, type Result, summarise, type TableResult } from './report/result.ts'
import { shuffled } from './report/statistics.ts'
import type { Sample, Suite, Table } from './suite.ts'

/** What runs in a contender for the first time is compiled and optimised for a while. */
const WARM_UP_ROUNDS = 3
/** For what the last one leaves behind. */
const SETTLE_MS = 50

export interface RunOptions {
  runId: string
  roundCount: number
  durationMs: number
  isQuick: boolean
  /** Only this table. @default all */
  table?: string
  /** Only these contenders. @default all */
  only?: readonly string[]
  /** For the contenders' Node. @default none */
  nodeArgs?: readonly string[]
  /** Told a line at a time how far it is. */
  report: (line: string) => void
}

export async function runSuite(suite: Suite, options: RunOptions): Promise<Result> {
  const { runId, roundCount, durationMs, isQuick, report } = options
  const tables = suite.tables.filter(({ id }) => (options.table ?? id) === id)
  if (tables.length === 0) {
    const known = suite.tables.map(({ id }) => id).join(', ')
    throw new Error(`unknown table "${options.table}" of ${suite.name}: use one of ${known}`)
  }
  checkContenders(suite.name, tables, options.only)
  const startedAt = new Date().toISOString()
  const before = loadNow()
  report(`${suite.name}: starting servers …`)
  const { context, versions, tearDown } = await suite.setUp(report)
  try {
    const results: TableResult[] = []
    for (const table of tables) results.push(await runTable(suite.name, table, context, options))
    return {
      format: FORMAT,
      runId,
      suite: suite.name,
      title: suite.title,
      startedAt,
      finishedAt: new Date().toISOString(),
      isQuick,
      roundCount,
      durationMs,
      machine: describeMachine(),
      load: { before, after: loadNow() },
      versions: { node: process.versions.node, ...versions, ...versionsOf(suite.packages) },
      tables: results,
    }
  } finally {
    await tearDown()
  }
}

/** An unknown contender would be a run that measures nothing. */
function checkContenders(suite: string, tables: readonly Table<unknown>[], only: readonly string[] = []): void {
  const known = [...new Set(tables.flatMap(({ contenders }) => contenders.map(({ id }) => id)))]
  const unknown = only.find((id) => !known.includes(id))
  if (unknown !== undefined)
    throw new Error(`unknown contender "${unknown}" of ${suite}: use one of ${known.join(', ')}`)
}

async function runTable(
  suite: string,
  table: Table<unknown>,
  context: unknown,
  { only, nodeArgs, roundCount, durationMs, report }: RunOptions,
): Promise<TableResult> {
  const chosen = table.contenders.filter(({ id }) => !only || only.includes(id))
  report(`${suite} / ${table.id}: starting ${chosen.length} contenders …`)
  const running: [id: string, process: ContenderProcess][] = []
  try {
    for (const { id } of chosen) {
      const process = await startContender({ suite, table: table.id, contender: id }, { context, nodeArgs })
      running.push([id, process])
    }
    const samples: Record<string, Sample[]> = Object.fromEntries(chosen.map(({ id }) => [id, []]))
    for (let round = 0; round < WARM_UP_ROUNDS + roundCount; round++) {
      const isWarmUp = round < WARM_UP_ROUNDS
      report(
        `${suite} / ${table.id}: ${isWarmUp ? 'warming up' : `round ${round - WARM_UP_ROUNDS + 1} of ${roundCount}`} …`,
      )
      for (const [id, process] of shuffled(running)) {
        await sleep(SETTLE_MS)
        const sample = await process.measure({ durationMs: durationMs * (table.durationFactor ?? 1), round })
        if (!isWarmUp) samples[id]?.push(sample)
      }
    }
    return summarise(table as Table<never>, samples)
  } finally {
    await Promise.all(running.map(([, process]) => process.stop()))
  }
}
